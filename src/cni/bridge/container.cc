#include "cni/bridge/container.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

#include "cni/host/eventually.h"
#include "cni/protocol/error.h"
#include "kernel/netlink_socket.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

constexpr std::chrono::seconds kSettleWithin{5};
constexpr int kRemovedWithin = 10'000;  // milliseconds

bool has_ipv6(const AddResult& result) {
  return std::any_of(result.ips.begin(), result.ips.end(),
                     [](const ResultIp& ip) { return !ip.address.ip.is_v4(); });
}

void prepare(const std::string& ifname, bool detect_duplicates) {
  const std::string ipv6_conf = "net/ipv6/conf/" + ifname + "/";
  if (detect_duplicates) {
    set_sysctl(ipv6_conf + "enhanced_dad", "1");
  }
  set_sysctl(ipv6_conf + "accept_dad", detect_duplicates ? "1" : "0");
}

void enable_ipv6(const std::string& ifname) {
  for (const std::string& name : {std::string("lo"), ifname}) {
    if (!set_sysctl("net/ipv6/conf/" + name + "/disable_ipv6", "0")) {
      throw_error(Code::internal, "failed to enable IPv6 for interface \"{}\"", name);
    }
  }
  // IPAM gives addresses and routes: none beside them from whoever advertises itself on the bridge.
  set_sysctl("net/ipv6/conf/" + ifname + "/accept_ra", "0");
  // Comforts, which a read-only /proc/sys does not have.
  set_sysctl("net/ipv6/conf/" + ifname + "/keep_addr_on_down", "1");
}

bool is_any_tentative(const std::vector<netlink::AddressMessage>& addresses,
                      const std::string& ifname) {
  bool tentative = false;
  for (const netlink::AddressMessage& each : addresses) {
    if ((each.flags & IFA_F_DADFAILED) != 0) {
      throw_error(Code::internal, "link {} has address {} in DADFAILED state", ifname,
                  each.address.prefix.ip.to_text());
    }
    tentative = tentative || (each.flags & IFA_F_TENTATIVE) != 0;
  }
  return tentative;
}

// The routes with the gateway each goes by, each once: the kernel refuses a second.
std::vector<ResultRoute> routes_to_make(const AddResult& result) {
  std::vector<ResultRoute> out;
  std::set<ResultRoute> there;
  for (ResultRoute route : result.routes) {
    const auto ip = std::find_if(result.ips.begin(), result.ips.end(), [&](const ResultIp& each) {
      return each.gateway && each.gateway->family() == route.dst.family();
    });
    if (!route.gw && ip != result.ips.end()) {
      route.gw = ip->gateway;
    }
    if (there.insert(route).second) {
      out.push_back(route);
    }
  }
  return out;
}

bool is_removal_of(const netlink::MessageView& message, int index) {
  netlink::Bytes rest = message.payload;
  const std::optional<ifinfomsg> header = netlink::take_header<ifinfomsg>(rest);
  return message.type == RTM_DELLINK && header && header->ifi_family != AF_BRIDGE &&
         header->ifi_index == index;
}

// Returns when the kernel has notified of the removal, or the child has ended well.
void wait_for_removal(netlink::NotificationSocket& notifications, int index, pid_t child,
                      int report) {
  std::array<pollfd, 2> ends = {pollfd{notifications.fd(), POLLIN, 0}, pollfd{report, POLLIN, 0}};
  for (;;) {
    if (::poll(ends.data(), ends.size(), kRemovedWithin) <= 0) {
      ::waitpid(child, nullptr, 0);
      return;
    }
    if (ends[1].revents != 0) {
      std::array<char, 512> text;
      const ssize_t got = ::read(report, text.data(), text.size());
      ::waitpid(child, nullptr, 0);
      if (got > 0) {
        throw CniError(Code::internal, std::string(text.data(), static_cast<std::size_t>(got)));
      }
      return;
    }
    bool removed = false;
    const bool complete = notifications.drain([&](const netlink::MessageView& message) {
      removed = removed || is_removal_of(message, index);
    });
    if (removed) {
      return;
    }
    ends[0].fd = complete ? ends[0].fd : -1;  // what was lost may be it: wait for the child
  }
}

void remove_early(LinkSocket& links, int index) {
  netlink::NotificationSocket notifications;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    links.remove(index);
    return;
  }
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::optional<pid_t> child = in_background([&] {
    try {
      links.remove(index);
    } catch (const std::exception& error) {
      write_all(write_end.get(), error.what());
    }
  });
  write_end = UniqueFd();
  wait_for_removal(notifications, index, child.value_or(0), read_end.get());
}

}  // namespace

ContainerLink::ContainerLink(const NetNs& netns, std::string ifname, const BridgeConfig& config)
    : netns_(netns), ifname_(std::move(ifname)) {
  netns_.run([&] {
    links_.emplace();
    prepare(ifname_, config.detect_duplicates);
  });
  const std::optional<LinkInfo> link = links_->find(ifname_);
  if (!link) {
    throw_error(Code::internal, "failed to lookup \"{}\": it is gone", ifname_);
  }
  info_ = *link;
}

void ContainerLink::configure(const AddResult& result) {
  if (has_ipv6(result)) {
    netns_.run([&] { enable_ipv6(ifname_); });
  }
  links_->configure(info_.index, result.ips, routes_to_make(result));
}

void ContainerLink::wait_for_addresses(const AddResult& result) {
  const bool settled = !has_ipv6(result) || eventually(kSettleWithin, [&] {
    return !is_any_tentative(links_->addresses(info_.index), ifname_);
  });
  if (!settled) {
    throw_error(Code::internal, "link {} still has tentative addresses after {} seconds", ifname_,
                kSettleWithin.count());
  }
}

void ContainerLink::announce() {
  // Under `arp_notify` the kernel does it for every MAC that is set, also for the one that is
  // there. It does when the link comes up as well, but then the bridge does not forward yet.
  links_->set_mac(info_.index, info_.mac);
}

std::vector<IpAddr> remove_container_link(const NetNs& netns, const std::string& ifname) {
  std::vector<IpAddr> had;
  netns.run([&] {
    LinkSocket links;
    const std::optional<LinkInfo> link = links.find(ifname);
    if (!link || link->kind != "veth") {
      return;
    }
    for (const netlink::AddressMessage& each : links.addresses(link->index)) {
      if (each.address.prefix.ip.is_global_unicast()) {
        had.push_back(each.address.prefix.ip);
      }
    }
    remove_early(links, link->index);
  });
  return had;
}

}  // namespace flannel::cni
