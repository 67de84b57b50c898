// What the real kernel says of the host: default routes, and whose addresses are what.

#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "kernel/netlink_socket.h"
#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

class RealHost : public KernelContract {
 protected:
  HostKernel& kernel() { return dynamic_cast<HostKernel&>(*kernel_); }
};

TEST_P(RealHost, ADefaultRouteOfSeveralPathsIsByTheFirst) {
  shell(
      "ip link add eth2 type veth peer name eth3 && ip link set eth2 up && "
      "ip addr add 198.18.5.2/24 dev eth2 && ip route replace default nexthop via 198.18.0.1 "
      "dev eth0 nexthop via 198.18.5.1 dev eth2");
  const HostView host = kernel().host();
  ASSERT_EQ(host.default_routes.size(), 1U);
  EXPECT_EQ(host.default_routes[0].dev.text(), "eth0");
  EXPECT_EQ(host.default_routes[0].gateways,
            (std::vector{*IpAddr::parse("198.18.0.1"), *IpAddr::parse("198.18.5.1")}));
}

// Listing them takes as long as a router's full table does.
TEST_P(RealHost, DefaultRoutesAreNotListedAnewBeforeANotificationSaysThatTheyChanged) {
  ASSERT_EQ(kernel().host().default_routes.size(), 1U);
  shell("ip link add pod0 type veth peer name pod1 && ip link set pod0 up");
  drain();
  shell("ip link del pod0 && ip route del default");
  EXPECT_EQ(kernel().host().default_routes.size(), 1U);
  drain();
  EXPECT_TRUE(kernel().host().default_routes.empty());
}

// Of most routes that go with something else the kernel tells nothing.
TEST_P(RealHost, DefaultRoutesAreListedAnewAfterWhateverTakesThemAway) {
  const char* up =
      "ip link set eth0 up && ip addr replace 198.18.0.2/24 dev eth0 && "
      "ip -6 addr replace fd99::2/64 dev eth0 nodad && ip link set lo up && "
      "ip addr replace 198.18.255.2/32 dev lo && ip link add eth2 type veth peer name eth3 && "
      "ip link set eth2 up && ip link set eth3 up && ip addr add 198.18.5.2/24 dev eth2";
  const char* down =
      "ip route flush default; ip link del eth2 2>/dev/null; ip -6 route flush default";
  const std::pair<const char*, const char*> cases[] = {
      {"ip route add default via 198.18.0.9 metric 50", "ip route del default metric 50"},
      {"ip route add default via 198.18.5.1", "ip link set eth2 down"},
      {"ip route add default via 198.18.5.1", "ip link del eth2"},
      {"ip route add default via 198.18.5.1", "ip addr del 198.18.5.2/24 dev eth2"},
      {"ip route add default via 198.18.0.1 src 198.18.255.2",
       "ip addr del 198.18.255.2/32 dev lo"},
      {"ip nexthop add id 5 via 198.18.5.1 dev eth2 && ip route add default nhid 5",
       "ip nexthop del id 5"},
      {"ip route add default nexthop via 198.18.0.1 nexthop via 198.18.5.1 && "
       "ip link set eth0 down",
       "ip link set eth2 down"},
      {"ip -6 route add default via fd99::1", "ip link set eth0 down"},
      {"ip -6 route add default via fd99::1", "ip -6 route add default via fd99::9 metric 9"},
  };
  for (const auto& [before, change] : cases) {
    shell(std::string(down) + ";" + up);
    shell(before);
    drain();
    const std::vector<DefaultRoute> had = kernel().host().default_routes;
    EXPECT_FALSE(had.empty()) << before;
    shell(change);
    drain();
    EXPECT_EQ(kernel().host().default_routes, HostKernel().host().default_routes) << change;
    EXPECT_NE(kernel().host().default_routes, had) << change;
  }
}

TEST_P(RealHost, ShowsWhatDefaultRoutesSayOfGatewayAndSource) {
  shell(
      "ip addr add 198.18.255.2/32 dev lo && "
      "ip route replace default src 198.18.255.2 via inet6 fe80::1 dev eth0");
  const HostView host = kernel().host();
  ASSERT_EQ(host.default_routes.size(), 1U);
  EXPECT_EQ(host.default_routes[0].gateways, std::vector{*IpAddr::parse("fe80::1")});
  EXPECT_EQ(host.default_routes[0].source, *IpAddr::parse("198.18.255.2"));
}

TEST_P(RealHost, ShowsWhatCameByRouterAdvertisementsAndWhoIgnoresThem) {
  shell(
      "sysctl -qw net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.all.forwarding=1 && "
      "ip -6 route add default via fe80::1 dev eth0 proto ra expires 600");
  const auto ignores = [] {
    const HostView host = HostKernel().host();
    const auto eth0 =
        std::ranges::find(host.interfaces, Dev("eth0"), [](const auto& i) { return i.name; });
    return eth0->ignores_advertisements;
  };
  EXPECT_FALSE(ignores());
  shell("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
  EXPECT_TRUE(ignores());
  const HostView host = kernel().host();
  ASSERT_EQ(host.default_routes.size(), 2U);
  EXPECT_FALSE(host.default_routes[0].advertised);
  EXPECT_TRUE(host.default_routes[1].advertised);
  shell("sysctl -qw net.ipv6.conf.eth0.forwarding=0");
  EXPECT_FALSE(ignores());
}

// That of lo, which cannot tell, is always there.
TEST_P(RealHost, ShowsAndTellsWhoHasACarrier) {
  const auto lacks_it = [&] {
    std::vector<std::string> names;
    for (const HostInterface& interface : kernel().host().interfaces) {
      if (interface.up && !interface.has_carrier) {
        names.emplace_back(interface.name.text());
      }
    }
    return names;
  };
  shell("ip link set lo up && until ip -br link show eth0 | grep -q LOWER_UP; do sleep 0.01; done");
  drain();
  EXPECT_EQ(lacks_it(), std::vector<std::string>{});
  shell("ip link set eth1 down && until ip link show eth0 | grep -q NO-CARRIER; do :; done");
  std::vector<Dev> told;
  for (int tries = 0; tries < 1'000 && std::ranges::count(told, Dev("eth0")) == 0; ++tries) {
    told = kernel().changes(scope()).host.links;
    ::usleep(10'000);
  }
  EXPECT_EQ(std::ranges::count(told, Dev("eth0")), 1);
  EXPECT_EQ(lacks_it(), std::vector<std::string>{"eth0"});
}

// Another node has the address: duplicate address detection finds it behind the other end.
TEST_P(RealHost, ShowsDuplicateAddresses) {
  shell(
      "ip addr add fd99::2/64 dev eth1 nodad && sleep 0.1 && ip addr add fd99::2/64 dev eth0 && "
      "until ip -6 addr show dev eth0 | grep -q dadfailed; do sleep 0.05; done");
  for (const HostInterface& interface : kernel().host().interfaces) {
    for (const HostAddress& address : interface.addresses) {
      if (address.prefix.ip == *IpAddr::parse("fd99::2")) {
        EXPECT_EQ(address.duplicate, interface.name == Dev("eth0")) << interface.name.text();
      }
    }
  }
}

// Although a list is used again where nothing was notified since.
TEST_P(RealHost, WhatIsThereNowIsListedWhoeverReadsNotifications) {
  for (const bool read : {false, true}) {
    for (const char* change :
         {"ip link add pod0 type veth peer name pod1", "ip link set pod0 mtu 1400",
          "ip link set pod0 up", "ip addr add 198.18.9.2/24 dev pod0",
          "ip link set pod0 down && ip link set pod0 name pod2", "ip link del pod2"}) {
      kernel().host();
      shell(change);
      if (read) {
        kernel().changes(scope());
      }
      EXPECT_EQ(kernel().host().interfaces, HostKernel().host().interfaces) << change;
    }
  }
}

TEST_P(RealHost, WhoChangesItWithoutPauseKeepsNobodyWaiting) {
  netlink::NotificationSocket notifications;
  ifreq request{};
  std::strncpy(request.ifr_name, "eth0", sizeof request.ifr_name - 1);
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto change = [&] {
    request.ifr_mtu = request.ifr_mtu == 1400 ? 1500 : 1400;
    EXPECT_EQ(::ioctl(any.get(), SIOCSIFMTU, &request), 0);
  };
  change();
  bool begun = false;
  EXPECT_TRUE(notifications.drain([&](const netlink::MessageView&) {
    begun = true;
    change();
  }));
  EXPECT_TRUE(begun);
}

INSTANTIATE_TEST_SUITE_P(Kernels, RealHost, testing::Values("real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel
