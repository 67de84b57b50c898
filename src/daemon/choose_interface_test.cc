#include "daemon/choose_interface.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

HostAddress address(const std::string& prefix) {
  return {.prefix = *Prefix::parse(prefix)};
}

NetworkConfig v4_network() {
  return *parse_network_config(R"({"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}})");
}

NetworkConfig dual_network() {
  return *parse_network_config(
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})");
}

// lo, eth0 with a v4 address, eth1 with addresses of both families; the default routes as given.
HostView two_interfaces(const Dev& default_v4, const Dev& default_v6) {
  HostView host;
  host.interfaces.push_back({"lo", 1, 65536, true, {address("127.0.0.1/8"), address("::1/128")}});
  host.interfaces.push_back({"eth0", 2, 1500, true, {address("198.18.0.2/24")}});
  host.interfaces.push_back({"eth1",
                             3,
                             9000,
                             true,
                             {address("169.254.9.9/16"), address("198.18.1.2/24"),
                              address("fe80::2/64"), address("fd99::2/64")}});
  host.default_routes = {{Family::v4, default_v4, 0, {}, {}},
                         {Family::v6, default_v6, 1024, {}, {}}};
  return host;
}

// On the link of the interface that has a prefix with it.
Path way(const HostView& host, const IpAddr& to) {
  for (const HostInterface& interface : host.interfaces) {
    for (const HostAddress& address : interface.addresses) {
      if (address.prefix.contains(to)) {
        return {interface.name, std::nullopt, address.prefix.ip};
      }
    }
  }
  return {};
}

// Errors without what the host has.
std::string chosen(const InterfaceOptions& options, const NetworkConfig& network,
                   const HostView& host) {
  const Result<ExternalInterface> result =
      choose_interface(options, network, host, [&host](const IpAddr& to) { return way(host, to); });
  if (!result) {
    return "error: " + result.error().text.substr(0, result.error().text.find(" (this host"));
  }
  std::string text = fmt::format("{} {}", result->name.text(), result->mtu);
  for (const auto& ip : {result->v4, result->v6, result->public_v4, result->public_v6}) {
    text += " " + (ip ? ip->to_text() : std::string("-"));
  }
  return text;
}

TEST(ChooseInterface, TakesThatOfTheDefaultRoute) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({}, v4_network(), host), "eth0 1500 198.18.0.2 - 198.18.0.2 -");
  EXPECT_EQ(chosen({{""}, {}, "", "", ""}, v4_network(), host),
            "eth0 1500 198.18.0.2 - 198.18.0.2 -");
}

TEST(ChooseInterface, TakesANameOrAnAddress) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({{"eth1"}, {}, "", "", ""}, v4_network(), host),
            "eth1 9000 198.18.1.2 - 198.18.1.2 -");
  EXPECT_EQ(chosen({{"169.254.9.9"}, {}, "", "", ""}, v4_network(), host),
            "eth1 9000 169.254.9.9 - 169.254.9.9 -");
  EXPECT_EQ(chosen({{"127.0.0.1"}, {}, "", "", ""}, v4_network(), host),
            "lo 1500 127.0.0.1 - 127.0.0.1 -");
}

TEST(ChooseInterface, TakesTheFirstThatExists) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({{"eth7", "198.18.9.9", "eth1"}, {}, "", "", ""}, v4_network(), host),
            "eth1 9000 198.18.1.2 - 198.18.1.2 -");
}

TEST(ChooseInterface, SaysWhatThereIs) {
  HostView host = two_interfaces("eth0", "eth1");
  const auto error = [&host](const InterfaceOptions& options) {
    return choose_interface(options, v4_network(), host, [](const IpAddr&) { return Path(); })
        .error()
        .text;
  };
  EXPECT_EQ(error({{"eht0"}, {}, "", "", ""}),
            "Failed to find any valid interface to use: there is no interface eht0 (did you mean "
            "eth0?) (this host has lo:[127.0.0.1 ::1] eth0:[198.18.0.2] "
            "eth1:[169.254.9.9 198.18.1.2 fe80::2 fd99::2])");
  for (int i = 0; i < 300; ++i) {
    const std::string name = fmt::format("veth{}", i);
    host.interfaces.push_back({std::string_view(name), 4 + i, 1500, true, {}});
    host.interfaces[1].addresses.push_back(
        {.prefix = {IpAddr::from_number(Family::v4, 0xc6130000U + static_cast<unsigned>(i)), 32}});
  }
  const std::string short_list = error({{}, {"^x"}, "", "", ""});
  EXPECT_TRUE(short_list.ends_with(" veth6:[] …)")) << short_list;
  EXPECT_LT(short_list.size(), 600U) << short_list;
}

TEST(ChooseInterface, SaysWhyNothingWasFound) {
  HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({{"eth7", "198.18.9.9"}, {}, "", "", ""}, v4_network(), host),
            "error: Failed to find any valid interface to use: there is no interface eth7 (did "
            "you mean eth0?); no interface has the address 198.18.9.9");
  EXPECT_EQ(chosen({{"lo"}, {}, "", "", ""}, v4_network(), host),
            "error: Failed to find any valid interface to use: "
            "failed to find IPv4 address for interface lo");
  EXPECT_EQ(chosen({{"eth0,eth1"}, {}, "", "", ""}, v4_network(), host),
            "error: Failed to find any valid interface to use: there is no interface eth0,eth1");
  host.default_routes.clear();
  EXPECT_EQ(chosen({}, v4_network(), host),
            "error: Failed to find any valid interface to use: "
            "failed to get default interface: unable to find default route");
}

TEST(ChooseInterface, PrefersLastingGlobalAddresses) {
  HostView host;
  host.interfaces.push_back({"eth0", 2, 1500, true, {}});
  host.interfaces[0].addresses = {
      {.prefix = *Prefix::parse("198.18.0.1/24"), .deprecated = true},
      {.prefix = *Prefix::parse("169.254.1.1/16")},
      {.prefix = *Prefix::parse("198.18.0.2/24"), .permanent = false},
      {.prefix = *Prefix::parse("198.18.0.3/24")},
      {.prefix = *Prefix::parse("198.18.0.4/24")},
  };
  EXPECT_EQ(chosen({{"eth0"}, {}, "", "", ""}, v4_network(), host),
            "eth0 1500 198.18.0.3 - 198.18.0.3 -");
}

// A floating address comes to a node that has its own by DHCP: IPv4 lists it behind, IPv6 before.
TEST(ChooseInterface, StaysWithTheAddressInUseWhileItCan) {
  HostView host;
  host.interfaces.push_back({"eth0", 2, 1500, true, {}});
  host.interfaces[0].addresses = {
      {.prefix = *Prefix::parse("198.18.0.2/24"), .permanent = false},
      {.prefix = *Prefix::parse("198.18.0.100/32")},
      {.prefix = *Prefix::parse("fd99::100/128")},
      {.prefix = *Prefix::parse("fd99::2/64")},
  };
  const auto stays = [&](const InterfaceOptions& options) {
    ExternalInterface in_use{.name = "eth0"};
    in_use.v4 = *IpAddr::parse("198.18.0.2");
    in_use.v6 = *IpAddr::parse("fd99::2");
    return choose_interface(
        options, dual_network(), host, [](const IpAddr&) { return Path(); }, &in_use);
  };
  for (const InterfaceOptions& options :
       {InterfaceOptions{.names = {"eth0"}}, InterfaceOptions{.regexes = {"^198|^fd99"}}}) {
    EXPECT_EQ(stays(options)->v4->to_text(), "198.18.0.2");
    EXPECT_EQ(stays(options)->v6->to_text(), "fd99::2");
  }
  EXPECT_EQ(chosen({{"eth0"}, {}, "", "", ""}, dual_network(), host),
            "eth0 1500 198.18.0.100 fd99::100 198.18.0.100 fd99::100");
  host.interfaces[0].addresses[0].deprecated = true;
  host.interfaces[0].addresses.pop_back();
  EXPECT_EQ(stays({.names = {"eth0"}})->v4->to_text(), "198.18.0.100") << "it cannot stay";
  EXPECT_EQ(stays({.names = {"eth0"}})->v6->to_text(), "fd99::100");
}

// Another host has the first address too; whether that holds of the second is not known yet.
TEST(ChooseInterface, PassesOverDuplicateAddressesAndTakesTentativeOnesLast) {
  HostView host;
  host.interfaces.push_back({"eth0", 2, 1500, true, {}});
  host.interfaces[0].addresses = {
      {.prefix = *Prefix::parse("fd99::9/64"), .duplicate = true},
      {.prefix = *Prefix::parse("fd99::8/64"), .tentative = true},
      {.prefix = *Prefix::parse("fd99::7/64")},
      {.prefix = *Prefix::parse("198.18.0.2/24")},
  };
  const auto v6 = [&] {
    return choose_interface({.names = {"eth0"}}, dual_network(), host, {})->v6;
  };
  EXPECT_EQ(v6()->to_text(), "fd99::7");
  host.interfaces[0].addresses.erase(host.interfaces[0].addresses.begin() + 2);
  EXPECT_EQ(v6()->to_text(), "fd99::8");
  host.interfaces[0].addresses.erase(host.interfaces[0].addresses.begin() + 1);
  EXPECT_FALSE(choose_interface({.names = {"eth0"}}, dual_network(), host, {}));
  EXPECT_FALSE(choose_interface({.regexes = {"^(198|fd99)"}}, dual_network(), host, {}));
}

TEST(ChooseInterface, StaysWhileTheInterfaceInUseHasAnyDefaultRoute) {
  HostView host = two_interfaces("eth0", "eth0");
  const auto by_default = [&](const ExternalInterface* in_use) {
    return choose_interface({}, v4_network(), host, {}, in_use)->name;
  };
  const ExternalInterface in_use{.name = "eth0"};
  // A VPN's comes in front.
  host.default_routes.insert(host.default_routes.begin(), {Family::v4, "eth1", 0, {}, {}});
  EXPECT_EQ(by_default(&in_use), Dev("eth0"));
  EXPECT_EQ(by_default(nullptr), Dev("eth1"));
  std::erase_if(host.default_routes, [](const DefaultRoute& r) { return r.dev == Dev("eth0"); });
  EXPECT_EQ(by_default(&in_use), Dev("eth1"));
}

// The node's address on lo, as where it is announced by BGP.
TEST(ChooseInterface, AnAddressOnLoHasTheMtuOfTheWayOut) {
  HostView host = two_interfaces("eth1", "eth1");
  host.interfaces[0].addresses.push_back(address("198.18.255.1/32"));
  EXPECT_EQ(chosen({{"lo"}, {}, "", "", ""}, v4_network(), host),
            "lo 9000 198.18.255.1 - 198.18.255.1 -");
  EXPECT_EQ(chosen({{}, {}, "", "198.18.255.1", ""}, v4_network(), host),
            "lo 9000 198.18.255.1 - 198.18.255.1 -");
  host.default_routes.clear();
  EXPECT_EQ(chosen({{"198.18.255.1"}, {}, "", "", ""}, v4_network(), host),
            "lo 1500 198.18.255.1 - 198.18.255.1 -");
}

TEST(ChooseInterface, TellsWhereAnAddressIsThatTheInterfaceLacks) {
  HostView host = two_interfaces("eth0", "eth0");
  host.interfaces[0].addresses.push_back(address("198.18.255.1/32"));
  host.interfaces[1].addresses.clear();
  host.default_routes[0].source = *IpAddr::parse("198.18.255.1");
  EXPECT_EQ(chosen({}, v4_network(), host),
            "error: Failed to find any valid interface to use: failed to find IPv4 address for "
            "interface eth0 (its default route sends from 198.18.255.1, which is on lo: "
            "--iface-can-reach=ADDRESS of another node takes that)");
}

TEST(ChooseInterface, PublishesWhatTheOperatorSays) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({{"eth0"}, {}, "", "1.2.3.4", ""}, v4_network(), host),
            "eth0 1500 198.18.0.2 - 1.2.3.4 -");
  EXPECT_EQ(chosen({{}, {}, "", "198.18.1.2", ""}, v4_network(), host),
            "eth1 9000 198.18.1.2 - 198.18.1.2 -");
  EXPECT_EQ(chosen({{}, {}, "", "1.2.3.4", ""}, v4_network(), host),
            "error: Failed to find any valid interface to use: "
            "no interface has the address 1.2.3.4");
}

TEST(ChooseInterface, DualStackNeedsBothOnOneInterface) {
  EXPECT_EQ(chosen({}, dual_network(), two_interfaces("eth1", "eth1")),
            "eth1 9000 198.18.1.2 fd99::2 198.18.1.2 fd99::2");
  EXPECT_EQ(chosen({}, dual_network(), two_interfaces("eth0", "eth1")),
            "error: Failed to find any valid interface to use: the default routes of IPv4 and "
            "IPv6 leave by different interfaces, eth0 and eth1");
  EXPECT_EQ(chosen({{"eth0"}, {}, "", "", ""}, dual_network(), two_interfaces("eth0", "eth1")),
            "error: Failed to find any valid interface to use: "
            "failed to find IPv6 address for interface eth0");
}

TEST(ChooseInterface, AV6AddressIsNothingInAV4Network) {
  EXPECT_EQ(chosen({{"fd99::2"}, {}, "", "", ""}, v4_network(), two_interfaces("eth0", "eth1")),
            "error: Failed to find any valid interface to use: "
            "fd99::2 is an IPv6 address, and EnableIPv6 is off");
}

NetworkConfig v6_network() {
  return *parse_network_config(
      R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})");
}

TEST(ChooseInterface, IPv6AloneHasNoIPv4Address) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({}, v6_network(), host), "eth1 9000 - fd99::2 - fd99::2");
  EXPECT_EQ(chosen({{"fd99::2"}, {}, "", "", "2001:db8::9"}, v6_network(), host),
            "eth1 9000 - fd99::2 - 2001:db8::9");
  EXPECT_EQ(chosen({{"198.18.1.2"}, {}, "", "", ""}, v6_network(), host),
            "error: Failed to find any valid interface to use: "
            "198.18.1.2 is an IPv4 address, and EnableIPv4 is off");
}

// Without --public-ipv6 the reference crashes.
TEST(ChooseInterface, AnIPv6AddressChoosesTheInterfaceInDualStackToo) {
  EXPECT_EQ(chosen({{"fd99::2"}, {}, "", "", ""}, dual_network(), two_interfaces("eth0", "eth1")),
            "eth1 9000 198.18.1.2 fd99::2 198.18.1.2 fd99::2");
}

TEST(ChooseInterface, ARegexMatchesAddressesBeforeNames) {
  const HostView host = two_interfaces("eth0", "eth1");
  const auto by = [&](const std::string& regex, const NetworkConfig& network) {
    return chosen({{}, {regex}, "", "", ""}, network, host);
  };
  EXPECT_EQ(by("^198\\.18\\.1\\.", v4_network()), "eth1 9000 198.18.1.2 - 198.18.1.2 -");
  EXPECT_EQ(by("169", v4_network()), "eth1 9000 169.254.9.9 - 169.254.9.9 -") << "that address";
  EXPECT_EQ(by("eth[1-9]", v4_network()), "eth1 9000 198.18.1.2 - 198.18.1.2 -");
  EXPECT_EQ(by("", v4_network()), "eth0 1500 198.18.0.2 - 198.18.0.2 -");
  EXPECT_EQ(by("^fe80", v6_network()),
            "error: Failed to find any valid interface to use: fe80::2 of interface eth1 is "
            "link-local: other nodes cannot send to it");
  // One address of each family must match, on one interface.
  EXPECT_EQ(by("^198\\.18\\.1|^fd99", dual_network()),
            "eth1 9000 198.18.1.2 fd99::2 198.18.1.2 fd99::2");
  EXPECT_EQ(by("^198\\.18\\.0", dual_network()),
            "error: Failed to find any valid interface to use: no address and no name of an "
            "interface matches ^198\\.18\\.0");
}

TEST(ChooseInterface, ABadRegexIsNamedAndTheNextRuleIsTried) {
  const HostView host = two_interfaces("eth0", "eth1");
  EXPECT_EQ(chosen({{}, {"("}, "", "", ""}, v4_network(), host),
            "error: Failed to find any valid interface to use: --iface-regex (: missing ): (");
  EXPECT_EQ(chosen({{"eth7"}, {"(", "eth1"}, "", "", ""}, v4_network(), host),
            "eth1 9000 198.18.1.2 - 198.18.1.2 -");
}

TEST(ChooseInterface, TakesTheOneThatReachesAnAddress) {
  const HostView host = two_interfaces("eth0", "eth1");
  const auto by = [&](const std::string& target, const NetworkConfig& network) {
    return chosen({{}, {}, target, "", ""}, network, host);
  };
  const std::string failed = "error: Failed to find any valid interface to use: ";
  EXPECT_EQ(by("198.18.1.77", v4_network()), "eth1 9000 198.18.1.2 - 198.18.1.2 -");
  EXPECT_EQ(by("203.0.113.1", v4_network()), failed + "there is no way to 203.0.113.1");
  EXPECT_EQ(by("nobody", v4_network()), failed + "--iface-can-reach nobody: no address");
  // The reference crashes on these two.
  EXPECT_EQ(by("fd99::77", v4_network()), failed + "--iface-can-reach fd99::77: EnableIPv6 is off");
  EXPECT_EQ(by("fd99::77", dual_network()), "eth1 9000 198.18.1.2 fd99::2 198.18.1.2 fd99::2");
}

TEST(HostUseOf, LeavesOutOurDevicesAndThoseThatAreDown) {
  HostView host = two_interfaces("eth0", "eth0");
  host.interfaces.push_back({"flannel.1", 4, 1450, true, {address("10.5.60.0/32")}});
  host.interfaces[2].up = false;
  host.default_routes[0].gateways = {*IpAddr::parse("198.18.0.1")};
  Scope scope;
  scope.links = {"flannel.1"};
  const HostUse use = host_use(host, scope);
  EXPECT_EQ(use.addresses,
            (std::vector<HostUse::Address>{{"lo", *Prefix::parse("127.0.0.1/8")},
                                           {"lo", *Prefix::parse("::1/128")},
                                           {"eth0", *Prefix::parse("198.18.0.2/24")}}));
  EXPECT_EQ(use.gateways, std::vector{*IpAddr::parse("198.18.0.1")});
}

TEST(HostUseOf, NamesWhatHasSomethingFromRoutersAndIgnoresThemNow) {
  const auto ignoring = [](bool ignores, bool route, bool learned_address) {
    HostView host = two_interfaces("eth0", "eth0");
    HostInterface& eth0 = host.interfaces[1];
    eth0.ignores_advertisements = ignores;
    for (DefaultRoute& found : host.default_routes) {
      found.advertised = route && found.family == Family::v6;
    }
    HostAddress learned = address("fd99::77/64");
    learned.permanent = !learned_address;
    eth0.addresses.push_back(learned);
    return host_use(host, Scope()).ignore_advertisements;
  };
  EXPECT_EQ(ignoring(true, true, false), std::vector<std::string>{"eth0"});
  EXPECT_EQ(ignoring(true, false, true), std::vector<std::string>{"eth0"});
  EXPECT_TRUE(ignoring(true, false, false).empty()) << "all was configured";
  EXPECT_TRUE(ignoring(false, true, true).empty());
}

}  // namespace
}  // namespace flannel
