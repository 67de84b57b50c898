#include "kernel/objects.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <iterator>
#include <string_view>

namespace flannel {
namespace {

// Nothing for a unicast route, as with `ip route`.
std::string type_text(std::uint8_t number) {
  constexpr std::string_view kTypes[] = {"unspec ",   "",           "local ",     "broadcast ",
                                         "anycast ",  "multicast ", "blackhole ", "unreachable ",
                                         "prohibit ", "throw "};
  return std::string(number < std::size(kTypes) ? kTypes[number] : "other ");
}

// As /etc/iproute2/rt_protos has them.
std::string protocol_text(std::uint8_t number) {
  switch (number) {
    case RTPROT_KERNEL:
      return "kernel";
    case RTPROT_BOOT:
      return "boot";
    case RTPROT_STATIC:
      return "static";
    case RTPROT_RA:
      return "ra";
    case RTPROT_DHCP:
      return "dhcp";
    default:
      return fmt::format("{}", number);
  }
}

}  // namespace

std::string Address::text() const {
  return fmt::format("addr {} dev {}", key.prefix.to_text(), key.dev.text());
}

std::string Neighbour::text() const {
  return fmt::format("neigh {} lladdr {} dev {}", key.ip.to_text(), mac.to_text(), key.dev.text());
}

std::string FdbEntry::text() const {
  return fmt::format("fdb {} dev {} dst {}{}", key.mac.to_text(), key.dev.text(), remote.to_text(),
                     plain ? "" : " by another port, VNI or device");
}

std::string Nexthop::text() const {
  return fmt::format("nexthop id {} via {} dev {}{}", key.id, via.to_text(), dev.text(),
                     onlink ? " onlink" : "");
}

std::string Route::text() const {
  std::string out = "route " + type_text(type) + key.dst.to_text();
  if (nexthop != 0) {
    out += fmt::format(" nhid {}", nexthop);
  }
  if (via) {
    out += " via " + via->to_text();
  }
  if (!dev.empty()) {
    out += fmt::format(" dev {}", dev.text());
  }
  out += onlink ? " onlink" : "";
  out += key.metric != 0 ? fmt::format(" metric {}", key.metric) : "";
  out += " proto " + protocol_text(protocol);
  return out + (key.place == 0 ? "" : " (behind another)");
}

}  // namespace flannel
