#include <linux/rtnetlink.h>

#include "kernel/net_state.h"

namespace flannel {
namespace {

struct Text {
  std::string operator()(const Link& link) const {
    std::string out = fmt::format("link {}", link.key.name.text());
    if (const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind)) {
      out += fmt::format(" vxlan id {} local {} dev {} dstport {}{}{}", vxlan->vni,
                         vxlan->local.to_text(), vxlan->lower.text(), vxlan->port,
                         vxlan->learning ? " learning" : " nolearning", vxlan->gbp ? " gbp" : "");
      out += vxlan->group ? " group" : "";
      out += vxlan->l2miss ? " l2miss" : "";
    } else {
      out += " " + std::get<OtherKind>(link.kind).kind;
    }
    out += fmt::format(" mtu {} address {}", link.mtu, link.mac.to_text());
    out += link.alias.empty() ? "" : fmt::format(" alias \"{}\"", link.alias);
    out += link.accept_ra ? " accept_ra" : "";
    out += link.master.empty() ? "" : fmt::format(" master {}", link.master.text());
    return out + (link.up ? " up" : " down");
  }

  std::string operator()(const Address& address) const {
    return fmt::format("addr {} dev {}", address.key.prefix.to_text(), address.key.dev.text());
  }

  std::string operator()(const Neighbour& neighbour) const {
    return fmt::format("neigh {} lladdr {} dev {}", neighbour.key.ip.to_text(),
                       neighbour.mac.to_text(), neighbour.key.dev.text());
  }

  std::string operator()(const FdbEntry& entry) const {
    return fmt::format("fdb {} dev {} dst {}{}", entry.key.mac.to_text(), entry.key.dev.text(),
                       entry.remote.to_text(),
                       entry.plain ? "" : " by another port, VNI or device");
  }

  std::string operator()(const Nexthop& nexthop) const {
    return fmt::format("nexthop id {} via {} dev {}{}", nexthop.key.id, nexthop.via.to_text(),
                       nexthop.dev.text(), nexthop.onlink ? " onlink" : "");
  }

  std::string operator()(const Route& route) const {
    std::string out = "route " + type(route.type) + route.key.dst.to_text();
    if (route.nexthop != 0) {
      out += fmt::format(" nhid {}", route.nexthop);
    }
    if (route.via) {
      out += " via " + route.via->to_text();
    }
    if (!route.dev.empty()) {
      out += fmt::format(" dev {}", route.dev.text());
    }
    out += route.onlink ? " onlink" : "";
    out += route.key.metric != 0 ? fmt::format(" metric {}", route.key.metric) : "";
    out += " proto " + protocol(route.protocol);
    return out + (route.key.place == 0 ? "" : " (behind another)");
  }

  // Nothing for a unicast route, as with `ip route`.
  static std::string type(std::uint8_t number) {
    constexpr std::string_view kTypes[] = {"unspec ",   "",           "local ",     "broadcast ",
                                           "anycast ",  "multicast ", "blackhole ", "unreachable ",
                                           "prohibit ", "throw "};
    return std::string(number < std::size(kTypes) ? kTypes[number] : "other ");
  }

  // As /etc/iproute2/rt_protos has them.
  static std::string protocol(std::uint8_t number) {
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
};

}  // namespace

std::string to_text(const Object& object) {
  return std::visit(Text(), object);
}

std::string to_text(const Op& op) {
  const char* sign = op.verb == Op::Verb::add ? "+ " : op.verb == Op::Verb::change ? "~ " : "- ";
  return sign + to_text(op.object);
}

std::string to_text(const NetState& state) {
  std::string out;
  for_each_table(
      [&out](const auto& table) {
        for (const auto& row : table) {
          out += Text()(row) + "\n";
        }
      },
      state);
  return out;
}

}  // namespace flannel
