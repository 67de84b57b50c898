// Which address packets are seen with: what pods and nodes send out of the overlay, into it and
// within it, and what the rules of others make of it beside ours.

#include <net/if.h>
#include <poll.h>

#include "test/overlay/tools_fixture.h"

namespace flannel {
namespace {

constexpr int kPort = 7777;  // that of endpoint()

class TrafficTest : public ToolsFixture {
 protected:
  struct How {
    std::optional<IpAddr> source;  // else the kernel's choice
    std::uint16_t port = kPort;
  };
  // The source of a packet that is sent to `target` and arrives at `to`; empty: none does.
  std::string seen(const std::string& from, const std::string& to, const IpAddr& target) const {
    return seen(from, to, target, How());
  }
  std::string seen(const std::string& from, const std::string& to, const IpAddr& target,
                   const How& how) const {
    const UniqueFd in = udp_socket_in(lab.name() + "-" + to),
                   out = udp_socket_in(lab.name() + "-" + from);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(kPort);
    EXPECT_EQ(::bind(in.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    if (target.is_multicast()) {
      join(to, in, target);
      send_multicast_by_eth0(from, out);
    }
    if (how.source) {
      sockaddr_in6 source = endpoint(*how.source);
      source.sin6_port = 0;
      EXPECT_EQ(::bind(out.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source), 0);
    }
    sockaddr_in6 destination = endpoint(target);
    destination.sin6_port = htons(how.port);
    EXPECT_EQ(::sendto(out.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&destination),
                       sizeof destination),
              1)
        << std::strerror(errno);
    pollfd ready{in.get(), POLLIN, 0};
    char byte = 0;
    sockaddr_in6 peer{};
    socklen_t length = sizeof peer;
    if (::poll(&ready, 1, 5'000) != 1 ||
        ::recvfrom(in.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) != 1) {
      return "";
    }
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
    return IpAddr::parse(text)->to_text();
  }
  // Both by eth0.
  void join(const std::string& place, const UniqueFd& fd, const IpAddr& group) const {
    const sockaddr_in6 address = endpoint(group);
    if (group.is_v4()) {
      ip_mreqn request{.imr_ifindex = eth0_of(place)};
      std::memcpy(&request.imr_multiaddr, &address.sin6_addr.s6_addr[12], 4);
      EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request), 0);
    } else {
      const ipv6_mreq request{address.sin6_addr, static_cast<unsigned>(eth0_of(place))};
      EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request), 0);
    }
  }
  void send_multicast_by_eth0(const std::string& place, const UniqueFd& fd) const {
    const ip_mreqn request{.imr_ifindex = eth0_of(place)};
    EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request), 0);
    EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &request.imr_ifindex,
                           sizeof request.imr_ifindex),
              0);
  }
  int eth0_of(const std::string& place) const {
    return std::atoi(lab.on(place, {"cat", "/sys/class/net/eth0/ifindex"}).output.c_str());
  }

  std::string pod_text(unsigned i, Family family) const { return pod(i, family).to_text(); }
  // Node I's address on the pods' side, and that of its overlay device.
  IpAddr gateway(unsigned i, Family family) const {
    return IpAddr::from_number(family, overlay_address(i, family).number() + 1);
  }
  IpAddr overlay_address(unsigned i, Family family) const { return subnet(i, family).masked().ip; }
  // As kube-proxy and others: rules of their own, in tables of their own.
  void add_rules(const std::string& place, Family family, const std::string& chain,
                 const std::string& rule) const {
    const std::string table = family == Family::v4 ? "ip others" : "ip6 others";
    run_on(place, fmt::format("nft 'add table {0}; add chain {0} {1}; add rule {0} {2} {3}'", table,
                              chain, chain.substr(0, chain.find(' ')), rule));
  }
};

TEST_P(TrafficTest, WhatLeavesTheOverlayHasTheNodesAddressAndWhatStaysThePods) {
  for (const Family family : kFamilies) {
    EXPECT_EQ(seen("p1", "out", outside(family)), node(1, family).to_text());
    EXPECT_EQ(seen("p1", "n2", node(2, family)), node(1, family).to_text());
    EXPECT_EQ(seen("p1", "p2", pod(2, family)), pod_text(1, family));
    EXPECT_EQ(seen("p1", "n2", gateway(2, family)), pod_text(1, family)) << "a node's own subnet";
    EXPECT_EQ(seen("p1", "n1", node(1, family)), pod_text(1, family)) << "not forwarded";
  }
}

// The Go flannel's rules of nftables let the node's own address through where those of iptables do
// not.
TEST_P(TrafficTest, WhatEntersTheOverlayIsAsTheRulesSay) {
  for (const Family family : kFamilies) {
    const std::string n1 = overlay_address(1, family).to_text();
    EXPECT_EQ(seen("n1", "p2", pod(2, family)), n1) << "the device's";
    EXPECT_EQ(seen("n1", "p2", pod(2, family), {.source = node(1, family)}),
              GetParam().nftables ? node(1, family).to_text() : n1);
    run_on("out", fmt::format("ip route add {} via {}", subnet(1, family).masked().to_text(),
                              node(1, family).to_text()));
    EXPECT_EQ(seen("out", "p1", pod(1, family)), outside(family).to_text());
  }
}

TEST_P(TrafficTest, WhatKubeProxyMarkedIsItsOwnToMasquerade) {
  for (const Family family : kFamilies) {
    add_rules("n1", family, "marking { type filter hook prerouting priority mangle; }",
              "udp dport 7777 meta mark set 0x4000");
    EXPECT_EQ(seen("p1", "out", outside(family)), pod_text(1, family));
    add_rules("n1", family, "marking", "udp dport 7777 meta mark set 0x4001");
    EXPECT_EQ(seen("p1", "out", outside(family)),
              GetParam().nftables ? node(1, family).to_text() : pod_text(1, family))
        << "with a bit of somebody else's";
    add_rules("n1", family, "masquerading { type nat hook postrouting priority 110; }",
              "meta mark & 0x4000 == 0x4000 masquerade");
    add_rules("n1", family, "marking", "udp dport 7777 meta mark set 0x4000");
    EXPECT_EQ(seen("p1", "p2", pod(2, family)), overlay_address(1, family).to_text());
  }
}

TEST_P(TrafficTest, MulticastKeepsItsSource) {
  for (const Family family : kFamilies) {
    const How from_overlay{.source = gateway(1, family)};
    EXPECT_EQ(seen("n1", "out", outside(family), from_overlay), node(1, family).to_text());
    const IpAddr group = *IpAddr::parse(family == Family::v4 ? "239.7.7.7" : "ff0e::7777");
    EXPECT_EQ(seen("n1", "out", group, from_overlay), gateway(1, family).to_text());
  }
}

// As kube-proxy leads to a Service: the address is exchanged before the packet is routed.
TEST_P(TrafficTest, AServiceIsReachedWithThePodsAddress) {
  for (const Family family : kFamilies) {
    const IpAddr service = *IpAddr::parse(family == Family::v4 ? "10.96.0.10" : "fd00:96::10");
    const char* ip = family == Family::v4 ? "ip" : "ip6";
    const auto lead_to = [&](std::uint16_t port, const IpAddr& endpoint) {
      add_rules("n1", family, "services { type nat hook prerouting priority dstnat; }",
                fmt::format("{} daddr {} udp dport {} dnat to {}", ip, service.to_text(), port,
                            family == Family::v4 ? endpoint.to_text() + ":7777"
                                                 : "[" + endpoint.to_text() + "]:7777"));
    };
    lead_to(80, pod(2, family));
    EXPECT_EQ(seen("p1", "p2", service, {.port = 80}), pod_text(1, family));
    lead_to(81, outside(family));
    EXPECT_EQ(seen("p1", "out", service, {.port = 81}), node(1, family).to_text());
  }
}

TEST_P(TrafficTest, APortOfTheHostIsReachedFromEverywhere) {
  const std::string plugin = directory_.file("portmap");
  std::filesystem::create_symlink(TestLab::binary("flannel"), plugin);
  const std::string config = fmt::format(
      R"({{"cniVersion":"1.0.0","name":"cbr0","type":"portmap","backend":"{}",
        "runtimeConfig":{{"portMappings":[
          {{"hostPort":8080,"containerPort":7777,"protocol":"udp"}}]}},
        "prevResult":{{"cniVersion":"1.0.0",
          "interfaces":[{{"name":"pod"}},{{"name":"eth0","sandbox":"/pod"}}],
          "ips":[{{"interface":1,"address":"{}/24"}},{{"interface":1,"address":"{}/64"}}]}}}})",
      GetParam().nftables ? "nftables" : "iptables", pod_text(1, Family::v4),
      pod_text(1, Family::v6));
  ASSERT_TRUE(replace_file(directory_.file("config"), config, 0600));
  run_on("n1", fmt::format("CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/pod CNI_IFNAME=eth0 "
                           "CNI_PATH=/ {} <{}",
                           plugin, directory_.file("config")));
  for (const Family family : kFamilies) {
    const How port{.port = 8080};
    EXPECT_EQ(seen("out", "p1", node(1, family), port), outside(family).to_text());
    EXPECT_EQ(seen("p2", "p1", node(1, family), port), node(2, family).to_text());
    EXPECT_EQ(seen("p1", "p1", node(1, family), port), gateway(1, family).to_text());
  }
  EXPECT_TRUE(is_as_planned(1)) << lab.page(1, "/plan");
}

TEST_P(TrafficTest, WhatOthersTakeAwayIsBackSoon) {
  run_on("n1", "iptables -t nat -F; ip6tables -t nat -F; nft flush ruleset");
  for (const Family family : kFamilies) {
    EXPECT_TRUE(eventually([&] {
      return seen("p1", "out", outside(family)) == node(1, family).to_text();
    })) << lab.page(1, "/status");
  }
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); })) << lab.page(1, "/plan");
}

INSTANTIATE_TEST_SUITE_P(Tools, TrafficTest, kTools, name_of);

}  // namespace
}  // namespace flannel
