// Fuzzes what the kernel and iptables-save say about rules: any bytes are a table, and a plan to
// remove from it names no rule that is not in it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cni/portmap/portmap_iptables.h"
#include "firewall/nft_rule.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  using namespace flannel::cni;
  (void)decode_nft_rule({data, size});
  const NatTable table = parse_nat_table({reinterpret_cast<const char*>(data), size});
  const NatBatch batch = plan_iptables_collection("cbr0", {{"c1", "eth0"}}, table);
  for (const std::string& line : batch.lines()) {
    const bool known = !line.starts_with("-D") ||
                       std::any_of(table.rules.begin(), table.rules.end(), [&](const auto& rule) {
                         return rule.substr(2) == line.substr(2);
                       });
    if (!known) {
      std::abort();
    }
  }
  return 0;
}
