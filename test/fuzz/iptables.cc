// Fuzzes what is read of iptables: listings of the programs, and the tables of the older kind as
// the kernel has them.
#include <array>
#include <cstdlib>
#include <string_view>

#include "firewall/iptables_legacy.h"
#include "firewall/iptables_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const IptablesPlace& place : iptables_places()) {
    const std::vector<std::string> lines = our_iptables_lines(place, text);
    std::string again;
    for (const std::string& line : lines) {
      again += line + "\n";
    }
    if (our_iptables_lines(place, again) != lines) {
      std::abort();
    }
    (void)iptables_restore_input(place, lines, {});
    for (const Family family : kFamilies) {
      (void)our_legacy_rules(family, place, {{data, data + size}, 0, size});
    }
  }
  const std::array networks = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("fd00:5::/48")};
  for (const Family family : kFamilies) {
    (void)legacy_forward_rules(family, {{data, data + size}, 0, size},
                               {networks, {}, "FLANNEL-FWD"});
  }
  return 0;
}
