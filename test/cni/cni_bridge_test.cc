// What each field of the configuration does to the kernel.
#include "test/cni/cni_fixture.h"

namespace flannel::cni {
namespace {

class CniBridge : public CniFixture {
 protected:
  Answer refused(const Pod& pod, const json::object& config, const std::string& text) {
    Answer answer = call("ADD", pod, config);
    EXPECT_FALSE(answer.ok()) << answer.out;
    EXPECT_NE(answer.text("msg").find(text), std::string::npos) << answer.out;
    return answer;
  }
  json::object ipam(const json::object& more) const {
    return merged({{"type", "host-local"}, {"dataDir", networks()}, {"subnet", "10.5.1.0/24"}},
                  more);
  }
};

TEST_F(CniBridge, TheMasqueradeOfOneInterfaceStaysWhenAnotherGoes) {
  write(env_file(), std::string(kDualEnv) + "FLANNEL_IPMASQ=false\n");
  const Pod pod = make_pod("two");
  Pod second = pod;
  second.ifname = "eth1";
  const auto ours = [] { return shell("iptables-save -t nat; ip6tables-save -t nat"); };
  for (const bool collected : {false, true}) {
    const Answer first = add(pod, flannel_config());
    const Answer other = add(second, flannel_config());
    if (collected) {  // by its record alone
      json::object gc = flannel_config();
      gc["cni.dev/valid-attachments"] = {{{"containerID", "two"}, {"ifname", "eth0"}}};
      EXPECT_TRUE(call("GC", {}, gc).ok());
    } else {
      del(second, flannel_config());
    }
    for (std::size_t family = 0; family < 2; ++family) {
      EXPECT_NE(ours().find("-s " + first.ip(family) + "/"), std::string::npos);
      EXPECT_EQ(ours().find("-s " + other.ip(family) + "/"), std::string::npos);
    }
    del(pod, flannel_config());
    del(second, flannel_config());
    EXPECT_EQ(leftovers(), Names());
  }
}

TEST_F(CniBridge, WhatAnInterfaceHasLostIsStillItsOwn) {
  write(env_file(), std::string(kDualEnv) + "FLANNEL_IPMASQ=false\n");
  const Pod pod = make_pod("two");
  Pod second = pod;
  second.ifname = "eth1";
  const Answer first = add(pod, flannel_config());
  const Answer other = add(second, flannel_config());
  in(pod, "ip -4 addr flush dev eth1");
  del(second, with_result(flannel_config(), other));
  const std::string rules = shell("iptables-save -t nat");
  EXPECT_NE(rules.find("-s " + first.ip() + "/"), std::string::npos);
  EXPECT_EQ(rules.find("-s " + other.ip() + "/"), std::string::npos);
  del(pod, flannel_config());
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniBridge, KeepsAnAddressOfAnotherSubnetUnlessForced) {
  const Pod pod = make_pod("pod");
  shell("ip link add cni0 type bridge && ip addr add 10.4.1.1/24 dev cni0 && ip link set cni0 up");
  const std::string complaint = "\"cni0\" already has an IP address different from 10.5.1.1/24";
  const Answer answer = refused(pod, bridge_config(), complaint);
  EXPECT_NE(answer.text("details").find("it has 10.4.1.1/24"), std::string::npos) << answer.out;
  EXPECT_EQ(leftovers(), Names());
  const json::object forced = bridge_config({{"forceAddress", true}});
  add(pod, forced);
  EXPECT_EQ(shell("ip -br addr show cni0").find("10.4.1.1"), std::string::npos);
  EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
  del(pod, forced);
}

TEST_F(CniBridge, RepairsABridgeThatNobodyUses) {
  const Pod old = make_pod("old"), pod = make_pod("new");
  const json::object before =
      bridge_config({{"name", "before"}, {"ipam", ipam({{"subnet", "10.4.1.0/24"}})}});
  const json::object now = bridge_config({{"repairBridge", true}});
  add(old, before);
  refused(pod, now, "already has an IP address different from 10.5.1.1/24");
  del(old, before);
  add(pod, now);
  EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
}

TEST_F(CniBridge, PinsItsMac) {
  add(make_pod("one"), bridge_config());
  const std::string mac = shell("cat /sys/class/net/cni0/address");
  for (const char* id : {"two", "three", "four", "five"}) {
    const Answer added = add(make_pod(id), bridge_config());
    EXPECT_EQ(std::string(added.document.at("interfaces").at(0).at("mac").get_string()) + "\n",
              mac);
  }
  EXPECT_EQ(shell("cat /sys/class/net/cni0/address"), mac);
  EXPECT_EQ(shell("cat /sys/class/net/cni0/addr_assign_type"), "3\n");  // NET_ADDR_SET
}

TEST_F(CniBridge, SetsModesOfBridgeAndPort) {
  const Pod pod = make_pod("pod"), other = make_pod("other");
  const json::object config = bridge_config({{"promiscMode", true}, {"portIsolation", true}});
  const Answer added = add(pod, config);
  EXPECT_NE(shell("ip -d link show cni0").find("promiscuity 1"), std::string::npos);
  const std::string port = shell("bridge -d link show dev " + added.host_end());
  EXPECT_NE(port.find("isolated on"), std::string::npos) << port;
  EXPECT_NE(port.find("hairpin off"), std::string::npos) << port;
  EXPECT_TRUE(call("CHECK", pod, with_result(config, added)).ok());
  add(other, config);
  EXPECT_FALSE(succeeds("nsenter --net=" + other.netns + " ping -c1 -W1 " + added.ip()));
  EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
}

TEST_F(CniBridge, TakesMacAndAddressFromEveryPlace) {
  const Variables args{{"CNI_ARGS", "IgnoreUnknown=1;IP=10.5.1.77;MAC=02:00:00:00:00:77"}};
  const Pod pod = make_pod("pod");
  const Answer added = add(pod, bridge_config(), args);
  EXPECT_EQ(added.ip(), "10.5.1.77");
  EXPECT_NE(in(pod, "ip link show eth0").find("02:00:00:00:00:77"), std::string::npos);
  const json::object runtime{{"mac", "02:00:00:00:00:78"}, {"ips", json::array{"10.5.1.78/24"}}};
  const Pod second = make_pod("second");
  const json::object config = bridge_config({{"runtimeConfig", runtime}});
  const Answer other = add(second, config);
  EXPECT_EQ(other.ip(), "10.5.1.78");
  EXPECT_EQ(other.document.at("interfaces").at(2).at("mac").get_string(), "02:00:00:00:00:78");
  refused(make_pod("third"), config, "is not available in range set 10.5.1.1-10.5.1.254");
  const Answer unknown = call("ADD", make_pod("fourth"), bridge_config(), {{"CNI_ARGS", "A=1"}});
  EXPECT_EQ(unknown.text("msg"), "ARGS: unknown args [\"A=1\"]");
}

TEST_F(CniBridge, GivesOneAddressOfEachRange) {
  const Pod pod = make_pod("pod");
  const json::object config = bridge_config(
      {{"ipam",
        {{"type", "host-local"},
         {"dataDir", networks()},
         {"ranges",
          {{{{"subnet", "10.5.1.0/24"}, {"rangeStart", "10.5.1.20"}, {"rangeEnd", "10.5.1.29"}}},
           {{{"subnet", "fc00:5::/64"}, {"gateway", "fc00:5::ff"}}}}}}}});
  const Answer added = add(pod, config);
  EXPECT_EQ(added.ip(0), "10.5.1.20");
  EXPECT_EQ(added.ip(1), "fc00:5::1");
  EXPECT_TRUE(pings(pod.netns, "fc00:5::ff"));
  EXPECT_EQ(names_in(reservations()),
            (Names{"lock", "last_reserved_ip.0", "last_reserved_ip.1", "10.5.1.20", "fc00:5::1"}));
  del(pod, config);
}

TEST_F(CniBridge, ReturnsWhenItsAddressesAreFoundUnique) {
  const json::object config = bridge_config(
      {{"enabledad", true},
       {"ipam", {{"type", "host-local"}, {"dataDir", networks()}, {"subnet", "fc00:5::/64"}}}});
  const Pod pod = make_pod("pod"), other = make_pod("other");
  const Answer added = add(pod, config);
  EXPECT_EQ(in(pod, "ip -6 addr show dev eth0 tentative"), "");
  EXPECT_TRUE(pings(pod.netns, "fc00:5::1"));
  shell("ip addr add fc00:5::3/64 dev cni0 nodad");
  refused(other, config, "link eth0 has address fc00:5::3 in DADFAILED state");
  EXPECT_FALSE(succeeds("nsenter --net=" + other.netns + " ip link show eth0 2>&1"));
}

TEST_F(CniBridge, MakesRoutesWithTheirAttributes) {
  const json::array routes = {
      {{"dst", "10.7.0.0/16"}, {"mtu", 1300}, {"advmss", 1200}, {"priority", 77}},
      {{"dst", "10.8.0.0/16"}, {"table", 1234}},
      {{"dst", "10.9.0.0/16"}, {"gw", "10.5.1.9"}},
      {{"dst", "10.9.0.0/16"}, {"gw", "10.5.1.9"}},
      {{"dst", "10.10.0.1/32"}, {"scope", 0}}};
  const Pod pod = make_pod("pod");
  const json::object config = bridge_config({{"mtu", 1400}, {"ipam", ipam({{"routes", routes}})}});
  const Answer added = add(pod, config);
  const std::string made = in(pod, "ip route");
  EXPECT_NE(made.find("10.7.0.0/16 via 10.5.1.1 dev eth0 metric 77 mtu 1300 advmss 1200"),
            std::string::npos)
      << made;
  EXPECT_NE(made.find("10.9.0.0/16 via 10.5.1.9 dev eth0"), std::string::npos) << made;
  EXPECT_NE(in(pod, "ip route show table 1234").find("10.8.0.0/16 via 10.5.1.1"),
            std::string::npos);
  EXPECT_NE(in(pod, "ip link show eth0").find("mtu 1400"), std::string::npos);
  EXPECT_TRUE(call("CHECK", pod, with_result(config, added)).ok());
  in(pod, "ip route del 10.7.0.0/16");
  EXPECT_NE(call("CHECK", pod, with_result(config, added)).text("msg").find("10.7.0.0/16"),
            std::string::npos);
}

TEST_F(CniBridge, RefusesRoutesThatTheKernelHasNoFormFor) {
  const Pod pod = make_pod("pod");
  const json::array bad = {
      {{"dst", "10.7.0.0/16"}, {"gw", "fc00::1"}},     {{"dst", "fc00:7::/64"}, {"gw", "10.5.1.9"}},
      {{"dst", "10.7.0.0/16"}, {"table", 4294967550}}, {{"dst", "10.7.0.0/16"}, {"table", -1}},
      {{"dst", "10.7.0.0/16"}, {"mtu", 4294967996}},   {{"dst", "10.7.0.0/16"}, {"advmss", -1}},
      {{"dst", "10.7.0.0/16"}, {"priority", -1}},      {{"dst", "10.7.0.0/16"}, {"scope", 300}}};
  for (const json::value& route : bad) {
    const json::array routes{route};
    write(folder + "/result", json::serialize(json::object{{"cniVersion", "1.1.0"},
                                                           {"ips", {{{"address", "10.5.1.9/24"}}}},
                                                           {"routes", routes}}));
    write(folder + "/bin/other", "#!/bin/sh\ncat " + folder + "/result\n");
    std::filesystem::permissions(folder + "/bin/other", std::filesystem::perms(0755));
    for (const json::object& config :
         {bridge_config({{"ipam", ipam({{"routes", routes}})}}),
          bridge_config({{"ipam", {{"type", "other"}}}}),
          flannel_config({{"ipam", {{"dataDir", networks()}, {"routes", routes}}}})}) {
      const Answer answer = call("ADD", pod, config);
      EXPECT_EQ(answer.code(), 7) << answer.out;
      EXPECT_NE(answer.text("msg").find(route.at("dst").get_string()), std::string::npos)
          << answer.out;
      EXPECT_EQ(leftovers(), Names()) << answer.out;
    }
  }
}

TEST_F(CniBridge, MakesAndChecksAnyNumberOfRoutes) {
  constexpr int kRoutes = 50'000;
  json::array routes;
  for (int i = 0; i < kRoutes; ++i) {
    routes.push_back({{"dst", fmt::format("11.{}.{}.0/24", i / 256, i % 256)}});
  }
  const Pod pod = make_pod("pod");
  const json::object config = bridge_config({{"ipam", ipam({{"routes", routes}})}});
  const Answer added = add(pod, config);
  EXPECT_EQ(in(pod, "ip route show proto boot | wc -l"), fmt::format("{}\n", kRoutes));
  const Answer checked = call("CHECK", pod, with_result(config, added));
  EXPECT_TRUE(checked.ok()) << checked.out;
  del(pod, config);
  routes.push_back({{"dst", "198.18.0.0/16"}, {"gw", "10.5.9.9"}});  // which is on no link
  const Answer refused = call("ADD", pod, bridge_config({{"ipam", ipam({{"routes", routes}})}}));
  EXPECT_NE(refused.text("msg").find("'198.18.0.0/16 via 10.5.9.9'"), std::string::npos)
      << refused.out;
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniBridge, TellsOfNameServers) {
  write(folder + "/resolv.conf",
        "# x\nsearch a.test b.test\nnameserver 198.18.0.53\noptions ndots:2\n");
  const json::object config =
      bridge_config({{"ipam", ipam({{"resolvConf", folder + "/resolv.conf"}})}});
  EXPECT_EQ(
      json::serialize(add(make_pod("pod"), config).document.at("dns")),
      R"({"nameservers":["198.18.0.53"],"options":["ndots:2"],"search":["a.test","b.test"]})");
}

TEST_F(CniBridge, LeavesTheContainersEndAlone) {
  const Pod pod = make_pod("pod");
  json::object config = bridge_config({{"disableContainerInterface", true}});
  refused(pod, config, "cannot use IPAM when DisableContainerInterface flag is set");
  config["ipam"] = json::object();
  config["isGateway"] = false;
  const Answer added = add(pod, config);
  EXPECT_EQ(added.document.if_contains("ips"), nullptr) << added.out;
  EXPECT_EQ(in(pod, "ip -br link show up dev eth0"), "");
  del(pod, config);
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniBridge, SeesWhatChangedSinceItsAdd) {
  const json::object config = flannel_config();
  const Pod pod = make_pod("pod");
  const json::object checked = with_result(config, add(pod, config));
  const auto complaint = [&] { return call("CHECK", pod, checked).text("msg"); };
  EXPECT_EQ(complaint(), "");
  in(pod, "ip addr add 10.5.1.200/24 dev eth0");  // more is fine
  EXPECT_EQ(complaint(), "");
  in(pod, "ip link set eth0 address 02:00:00:00:00:01");
  EXPECT_NE(complaint().find("Mac doesn't match"), std::string::npos) << complaint();
  in(pod, "ip link del eth0");
  EXPECT_NE(complaint().find("eth0 not found"), std::string::npos) << complaint();
  std::filesystem::remove(reservations() + "/10.5.1.2");
  EXPECT_NE(complaint().find("Failed to find address"), std::string::npos) << complaint();
  EXPECT_EQ(call("CHECK", make_pod("nobody"), checked).code(), 3);
}

TEST_F(CniBridge, SeparatesVlans) {
  if (!succeeds("ip link add vlan-test type bridge vlan_filtering 1 2>/dev/null")) {
    GTEST_SKIP() << "SKIPPED: this kernel's bridge has no VLAN filtering";
  }
  shell("ip link del vlan-test");
  const auto in_vlan = [&](int vlan, const char* subnet) {
    return bridge_config({{"name", fmt::format("vlan{}", vlan)},
                          {"vlan", vlan},
                          {"ipam", ipam({{"subnet", subnet}})}});
  };
  const Pod one = make_pod("one"), two = make_pod("two");
  const Answer added = add(one, in_vlan(100, "10.5.1.0/24"));
  EXPECT_EQ(added.document.at("interfaces").at(3).at("name").get_string(), "cni0.100");
  add(two, in_vlan(200, "10.5.2.0/24"));
  EXPECT_TRUE(pings(one.netns, "10.5.1.1"));
  EXPECT_TRUE(pings(two.netns, "10.5.2.1"));
  const auto vlans_of = [](const Answer& answer) {
    return shell("bridge vlan show dev " + answer.host_end());
  };
  EXPECT_NE(vlans_of(added).find("100 PVID Egress Untagged"), std::string::npos);
  EXPECT_EQ(vlans_of(added).find(" 1 "), std::string::npos) << "the default VLAN";
  const Answer trunk =
      add(make_pod("trunk"),
          bridge_config({{"name", "trunk"},
                         {"vlanTrunk", {{{"minID", 100}, {"maxID", 102}}, {{"id", 7}}}},
                         {"ipam", ipam({{"subnet", "10.5.3.0/24"}})}}));
  for (const char* tagged : {" 7\n", " 100\n", " 101\n", " 102\n"}) {
    EXPECT_NE(vlans_of(trunk).find(tagged), std::string::npos) << tagged << vlans_of(trunk);
  }
}

}  // namespace
}  // namespace flannel::cni
