// The CNI plugins as programs: what a runtime sees of them, and what they leave in the kernel and
// on disk.
#include <algorithm>

#include "test/cni/cni_fixture.h"

namespace flannel::cni {
namespace {

class CniPlugin : public CniFixture {};

TEST_F(CniPlugin, AddsChecksAndRemovesInEveryVersion) {
  for (const std::string_view version : kVersions) {
    SCOPED_TRACE(version);
    const Pod pod = make_pod("pod-" + std::string(version));
    const json::object config = flannel_config({}, version);
    const Answer added = add(pod, config);
    EXPECT_EQ(added.text("cniVersion"), version);
    EXPECT_NE(in(pod, "ip -4 -o addr show eth0").find("10.5.1."), std::string::npos);
    const Answer checked = call("CHECK", pod, with_result(config, added));
    EXPECT_EQ(checked.ok(), version >= "0.4.0") << checked.out;
    EXPECT_EQ(checked.code(), version >= "0.4.0" ? 0 : 1) << checked.out;
    for (const char* verb : {"GC", "STATUS"}) {
      json::object all = config;
      all["cni.dev/valid-attachments"] =
          json::array{{{"containerID", pod.id}, {"ifname", pod.ifname}}};
      const Answer answer = call(verb, pod, all);
      EXPECT_EQ(answer.ok(), version == "1.1.0") << verb << answer.out;
    }
    EXPECT_FALSE(leftovers().empty());
    del(pod, with_result(config, added));
    del(pod, config);
    EXPECT_EQ(leftovers(), Names());
    EXPECT_FALSE(succeeds("nsenter --net=" + pod.netns + " ip link show eth0 2>&1"));
  }
}

TEST_F(CniPlugin, ConnectsPods) {
  write(env_file(), kDualEnv);
  const json::object config =
      flannel_config({{"delegate", {{"hairpinMode", true}, {"isDefaultGateway", true}}}});
  const Pod one = make_pod("one"), two = make_pod("two");
  const Answer of_one = add(one, config), of_two = add(two, config);
  EXPECT_EQ(of_one.ip(), "10.5.1.2");
  EXPECT_EQ(of_two.ip(), "10.5.1.3");
  EXPECT_TRUE(pings(one.netns, "10.5.1.1"));
  EXPECT_TRUE(pings(one.netns, "fc00:5:0:1::1"));
  for (const std::size_t family : {0U, 1U}) {
    EXPECT_TRUE(pings(one.netns, of_two.ip(family))) << family;
    EXPECT_TRUE(pings(two.netns, of_one.ip(family))) << family;
  }
  EXPECT_TRUE(pings(one.netns, of_two.ip(), "-M do -s 1422"));   // 1450 bytes in all
  EXPECT_FALSE(pings(one.netns, of_two.ip(), "-M do -s 1423"));  // one more than the MTU
  const std::string routes = in(one, "ip route") + in(one, "ip -6 route");
  EXPECT_NE(routes.find("default via 10.5.1.1 dev eth0"), std::string::npos) << routes;
  EXPECT_NE(routes.find("10.5.0.0/16 via 10.5.1.1 dev eth0"), std::string::npos) << routes;
  EXPECT_NE(routes.find("fc00:5::/48 via fc00:5:0:1::1 dev eth0"), std::string::npos) << routes;
  EXPECT_NE(routes.find("default via fc00:5:0:1::1 dev eth0"), std::string::npos) << routes;
  EXPECT_EQ(in(one, "cat /proc/sys/net/ipv4/conf/eth0/arp_notify"), "1\n");
  EXPECT_EQ(shell("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
  EXPECT_TRUE(call("CHECK", one, with_result(config, of_one)).ok());
  del(one, config);
  del(two, config);
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniPlugin, APodReachesItselfByAnAddressOfTheNode) {
  const json::object config = flannel_config({{"delegate", {{"hairpinMode", true}}}});
  const Pod pod = make_pod("self");
  const Answer added = add(pod, config);
  EXPECT_NE(shell("bridge -d link show dev " + added.host_end()).find("hairpin on"),
            std::string::npos);
  // What a service is: the node's answer goes back to where the packet came from.
  shell("iptables -t nat -A PREROUTING -d 10.96.0.1 -p icmp -j DNAT --to-destination " +
        added.ip());
  shell("iptables -t nat -A POSTROUTING -s " + added.ip() + " -d " + added.ip() + " -j MASQUERADE");
  in(pod, "ip route add 10.96.0.0/16 via 10.5.1.1");
  EXPECT_TRUE(pings(pod.netns, "10.96.0.1"));
  del(pod, config);
}

TEST_F(CniPlugin, TellsNeighboursOfANewAddress) {
  const json::object config = flannel_config();
  const Pod neighbour = make_pod("neighbour");
  add(neighbour, config);
  in(neighbour, "sysctl -qw net.ipv4.neigh.eth0.locktime=0");  // how long an entry is believed
  in(neighbour, "ip neigh add 10.5.1.3 lladdr 02:00:00:00:00:99 dev eth0 nud stale");
  const Pod pod = make_pod("new");
  const Answer added = add(pod, config);
  ASSERT_EQ(added.ip(), "10.5.1.3");
  const std::string mac(added.document.at("interfaces").at(2).at("mac").get_string());
  std::string known;
  for (int i = 0; i < 100 && known.find(mac) == std::string::npos; ++i) {
    ::usleep(20'000);
    known = in(neighbour, "ip neigh show 10.5.1.3");
  }
  EXPECT_NE(known.find(mac), std::string::npos) << known;
}

TEST_F(CniPlugin, TwoInterfacesOfOneContainerDoNotCollide) {
  const json::object config = flannel_config();
  Pod pod = make_pod("twice");
  Pod second = pod;
  second.ifname = "eth1";
  add(pod, config);
  add(second, config);
  EXPECT_EQ(in(pod, "ip -4 -o addr show scope global | wc -l"), "2\n");
  EXPECT_EQ(names_in(records()).size(), 2U);
  const Answer again = call("ADD", second, config);
  EXPECT_FALSE(again.ok());
  EXPECT_EQ(again.code(), 999) << again.out;
  del(pod, config);
  EXPECT_EQ(in(pod, "ip -4 -o addr show scope global | wc -l"), "1\n");
  EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
  del(second, config);
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniPlugin, RemovesThePortOfANamespaceWithoutAName) {
  const json::object config = flannel_config();
  const Pod held = make_pod("held"), other = make_pod("other");
  // As Go's plugin leaves it: with a name of its own, and no alias.
  const auto make_gos = [](Answer& answer, const std::string& name) {
    shell(fmt::format("ip link set {0} down; ip link set {0} alias '' name {1}; ip link set {1} up",
                      answer.host_end(), name));
    answer.document.at("interfaces").at(1).at("name") = name;
  };
  Answer result = add(held, config);
  add(other, config);
  make_gos(result, "veth0a1b2c3d");
  json::object wrong = with_result(config, result);
  wrong.at("prevResult").at("interfaces").at(1).at("mac") = "02:00:00:00:00:01";
  del(held, wrong, {{"CNI_NETNS", ""}});
  EXPECT_TRUE(succeeds("ip link show " + result.host_end())) << "by then it may be another's";
  Answer again = add(held, config, {{"CNI_IFNAME", "eth1"}});
  make_gos(again, "veth0a1b2c3e");
  del(held, with_result(config, again), {{"CNI_NETNS", ""}, {"CNI_IFNAME", "eth1"}});
  EXPECT_FALSE(succeeds("ip link show " + again.host_end() + " 2>&1"));
  const Answer unknown = add(held, config, {{"CNI_IFNAME", "eth2"}});
  del(held, config, {{"CNI_NETNS", ""}, {"CNI_IFNAME", "eth2"}});
  EXPECT_FALSE(succeeds("ip link show " + unknown.host_end() + " 2>&1"));
  EXPECT_TRUE(pings(other.netns, "10.5.1.1"));
}

TEST_F(CniPlugin, RemovesWithoutANamespace) {
  const json::object config = flannel_config();
  const Pod gone = make_pod("gone"), nameless = make_pod("nameless"), torn = make_pod("torn");
  add(gone, config);
  add(nameless, config);
  add(torn, config);
  remove_netns(gone);
  del(gone, config);
  write(nameless.netns + "-file", "");  // a path that is no namespace any more
  del(nameless, config, {{"CNI_NETNS", ""}});
  write(records() + "/torn", R"({"cniVersion":"1.0.0","ipam":{"ty)");
  std::filesystem::remove(env_file());
  del(torn, config);
  for (int i = 0; i < 100 && !leftovers().empty(); ++i) {
    ::usleep(20'000);  // a namespace is taken down when nobody waits
  }
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniPlugin, AFailingAddLeavesNothing) {
  const Pod pod = make_pod("fails");
  const std::vector<std::pair<json::object, const char*>> cases = {
      {flannel_config({{"ipam",
                        {{"dataDir", networks()},
                         {"routes", {{{"dst", "10.7.0.0/16"}, {"gw", "10.99.0.1"}}}}}}}),
       "failed to add route '10.7.0.0/16 via 10.99.0.1'"},
      {flannel_config({{"delegate", {{"bridge", "lo"}}}}), "already exists but is not a bridge"},
      {flannel_config({{"delegate", {{"vlan", 5000}}}}), "invalid vlan"},
      {flannel_config({{"delegate", {{"hairpinMode", true}, {"promiscMode", true}}}}), "hairpin"},
      {flannel_config({{"delegate", {{"ipMasqBackend", "wrong"}, {"ipMasq", true}}}}), "wrong"},
      {flannel_config({{"delegate", {{"mtu", "1450"}}}}), "mtu"},
      {flannel_config({{"ipam", {{"dataDir", networks()}, {"resolvConf", "/nowhere"}}}}),
       "/nowhere"},
      {flannel_config({{"runtimeConfig", {{"ips", json::array{"10.5.9.9"}}}}}),
       "failed to allocate all requested IPs: 10.5.9.9"},
      {flannel_config({{"runtimeConfig", {{"ips", json::array{"10.5.1.1"}}}}}),
       "requested ip 10.5.1.1 is subnet's gateway"},
  };
  for (const auto& [config, text] : cases) {
    const Answer answer = call("ADD", pod, config);
    EXPECT_FALSE(answer.ok()) << answer.out;
    EXPECT_NE(answer.text("msg").find(text), std::string::npos) << answer.out;
    Names left = leftovers();
    left.erase("record fails");  // kept for the DEL that runtimes send
    EXPECT_EQ(left, Names()) << text;
    EXPECT_FALSE(succeeds("nsenter --net=" + pod.netns + " ip link show eth0 2>&1")) << text;
    del(pod, config);
    EXPECT_EQ(leftovers(), Names()) << text;
  }
  add(pod, flannel_config());
}

TEST_F(CniPlugin, RefusesItsOwnNamespaceBeforeAnythingIsMade) {
  for (const json::object& config :
       {flannel_config(), bridge_config(),
        json::object{{"cniVersion", "1.0.0"}, {"name", "lo"}, {"type", "loopback"}}}) {
    const Pod self{"self", "/proc/self/ns/net"};
    for (const char* verb : {"ADD", "DEL"}) {
      const Answer answer = call(verb, self, config);
      EXPECT_EQ(answer.code(), 8) << verb << answer.out;
    }
    EXPECT_EQ(shell("ip -br link show type bridge"), "");
    EXPECT_EQ(leftovers(), Names());
  }
}

TEST_F(CniPlugin, SaysWhyThereIsNoSubnetYet) {
  const Pod pod = make_pod("early");
  std::filesystem::remove(env_file());
  const auto begun = std::chrono::steady_clock::now();
  Answer answer = call("ADD", pod, flannel_config());
  EXPECT_EQ(answer.code(), 11) << answer.out;
  EXPECT_NE(answer.text("msg").find("subnet.env"), std::string::npos);
  EXPECT_GT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(900));
  EXPECT_NE(answer.text("details").find("waiting for " + env_file()), std::string::npos);
  EXPECT_NE(answer.text("details").find("flannelctl status"), std::string::npos) << answer.out;
  answer = call("STATUS", pod, flannel_config());
  EXPECT_EQ(answer.code(), 50) << answer.out;
  write(env_file() + ".reason", "no network configuration in etcd\nmore\n");
  EXPECT_EQ(call("STATUS", pod, flannel_config()).text("details"),
            "waiting for " + env_file() +
                ", which flanneld on this node writes when it has a subnet: "
                "no network configuration in etcd");
  write(env_file(), "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.1.1/24\nFLANNEL_MTU=1450\n");
  answer = call("STATUS", pod, flannel_config());
  EXPECT_EQ(answer.code(), 50);
  EXPECT_NE(answer.text("msg").find("is missing FLANNEL_IPMASQ"), std::string::npos) << answer.out;
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniPlugin, SaysWhichFieldsNobodyReadsAndGoesOn) {
  const Pod pod = make_pod("typo");
  const json::object config = flannel_config({{"delegate", {{"hairpinmod", true}}}});
  const Answer answer = call("ADD", pod, config);
  EXPECT_EQ(answer.status, 0) << answer.out;
  EXPECT_EQ(answer.err,
            "flannel: configuration of network cbr0: delegate.hairpinmod is not known; did you "
            "mean delegate.hairpinMode?\n");
  EXPECT_EQ(call("DEL", pod, config).err, "");
}

TEST_F(CniPlugin, WaitsForASubnetThatIsAboutToCome) {
  const Pod pod = make_pod("early");
  std::filesystem::remove(env_file());
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    ::usleep(300'000);
    ::_exit(replace_file(env_file(), kEnv, 0644) ? 0 : 1);
  }
  add(pod, flannel_config());
  EXPECT_EQ(::waitpid(daemon, nullptr, 0), daemon);
}

TEST_F(CniPlugin, CollectsWhatTheRuntimeDoesNotKnow) {
  const json::object config = flannel_config();
  const Pod stays = make_pod("stays"), goes = make_pod("goes"), half = make_pod("half"),
            held = make_pod("held");
  const Answer known = add(stays, config);
  add(goes, config);
  add(half, config);
  add(held, config);
  std::filesystem::remove(records() + "/half");
  remove_netns(goes);
  json::object valid = config;
  valid["cni.dev/valid-attachments"] = json::array{{{"containerID", "stays"}, {"ifname", "eth0"}}};
  const Answer answer = call("GC", {}, valid);
  EXPECT_TRUE(answer.ok()) << answer.out;
  EXPECT_EQ(names_in(records()), Names{"stays"});
  EXPECT_EQ(names_in(reservations()), (Names{"lock", "last_reserved_ip.0", "10.5.1.2"}));
  const std::string veths = shell("ip -o link show type veth");
  EXPECT_EQ(std::count(veths.begin(), veths.end(), '\n'), 1) << veths;
  EXPECT_NE(veths.find(known.host_end()), std::string::npos) << veths;
}

TEST_F(CniPlugin, AnswersAsTheOtherPluginsByTheirNames) {
  const Pod pod = make_pod("named");
  const json::object bridge = bridge_config();
  const Answer added = add(pod, bridge);
  EXPECT_EQ(added.ip(), "10.5.1.2");
  EXPECT_TRUE(call("CHECK", pod, with_result(bridge, added)).ok());
  EXPECT_TRUE(call("STATUS", pod, bridge).ok());
  json::object lo{{"cniVersion", "1.0.0"}, {"name", "lo"}, {"type", "loopback"}};
  Pod inside = pod;
  inside.ifname = "lo";
  const Answer looped = add(inside, lo);
  EXPECT_EQ(looped.ip(), "127.0.0.1") << looped.out;
  EXPECT_TRUE(call("CHECK", inside, lo).ok());
  del(inside, lo);
  EXPECT_FALSE(call("CHECK", inside, lo).ok());
  json::object ipam = bridge;
  ipam["type"] = "host-local";
  Pod other = pod;
  other.id = "other";
  EXPECT_EQ(add(other, ipam).ip(), "10.5.1.3");
  EXPECT_TRUE(call("CHECK", other, ipam).ok());
  del(other, ipam);
  EXPECT_FALSE(call("CHECK", other, ipam).ok());
  del(pod, bridge);
  EXPECT_EQ(leftovers(), Names());
}

}  // namespace
}  // namespace flannel::cni
