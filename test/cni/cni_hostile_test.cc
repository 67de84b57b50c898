// The CNI plugin and input that means no good, names at the limits, and hosts with settings of
// their own.
#include <sys/resource.h>
#include <sys/stat.h>

#include "test/cni/cni_fixture.h"

namespace flannel::cni {
namespace {

class CniHostile : public CniFixture {
 protected:
  // Relative paths and default ones lead to where everything goes away with the test.
  void SetUp() override {
    CniFixture::SetUp();
    if (!folder.empty()) {
      before_ = std::filesystem::current_path();
      std::filesystem::create_directories(folder + "/here/below");
      std::filesystem::current_path(folder + "/here/below");
      ASSERT_EQ(::mount("tmpfs", "/var/lib", "tmpfs", 0, ""), 0);
    }
  }
  void TearDown() override {
    if (!before_.empty()) {
      std::filesystem::current_path(before_);
    }
    CniFixture::TearDown();
  }
  // An answer that a runtime can read, and nothing left but what a DEL removes.
  void expect_refused_cleanly(const Answer& answer, const Pod& pod, const std::string& what) const {
    EXPECT_FALSE(answer.ok()) << what;
    EXPECT_NE(answer.code(), 0) << what << ": " << answer.out;
    EXPECT_FALSE(answer.text("msg").empty()) << what << ": " << answer.out;
    EXPECT_FALSE(succeeds("nsenter --net=" + pod.netns + " ip link show eth0 2>/dev/null")) << what;
    Names left = leftovers();
    std::erase_if(left, [](const std::string& each) { return each.starts_with("record "); });
    EXPECT_EQ(left, Names()) << what;
  }
  std::filesystem::path before_;
};

const std::string kHostile = "\x1b[2J\"; `id`\n{} \xe2\x80\xae$(x) ../..";

TEST_F(CniHostile, TextInAnyVariableIsRefusedByName) {
  const Pod pod = make_pod("pod");
  for (const std::string& text : {kHostile, std::string("\xff\xfe"), std::string(100'000, 'x')}) {
    for (const char* name : {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"}) {
      const Answer answer = call("ADD", pod, flannel_config(), {{name, text}});
      expect_refused_cleanly(answer, pod, name);
    }
    expect_refused_cleanly(
        answer_of(run_process(folder + "/bin/flannel", {}, text, variables("ADD", pod))), pod,
        "standard input");
  }
}

TEST_F(CniHostile, TextInAnyFieldIsRefusedOrHarmless) {
  const Pod pod = make_pod("pod");
  const json::array values = {kHostile,
                              std::string(100'000, 'x'),
                              "",
                              -1,
                              1e300,
                              true,
                              json::array{kHostile},
                              json::object{{kHostile, kHostile}},
                              nullptr};
  const std::vector<std::pair<std::string, std::vector<std::string>>> fields = {
      {"",
       {"name", "cniVersion", "delegate", "ipam", "runtimeConfig", "args", "subnetFile", "dataDir",
        "prevResult"}},
      {"delegate",
       {"type", "bridge", "mtu", "vlan", "vlanTrunk", "ipMasq", "ipMasqBackend", "dns",
        "hairpinMode", "isGateway", "macspoofchk", "name", "ipam"}},
      {"ipam", {"type", "routes", "dataDir", "resolvConf", "subnet", "gateway"}},
      {"runtimeConfig", {"mac", "ips", "ipRanges"}}};
  for (const auto& [parent, names] : fields) {
    for (const std::string& name : names) {
      for (const json::value& value : values) {
        json::object config = flannel_config();
        json::object& object =
            parent.empty() ? config
                           : config.emplace(parent, json::object()).first->value().get_object();
        object[name] = value;
        const std::string what =
            fmt::format("{}.{} {}", parent, name, json::serialize(value).substr(0, 40));
        const Answer answer = call_program(folder + "/bin/flannel", "ADD", pod, config);
        if (answer.ok()) {
          EXPECT_FALSE(answer.document.empty()) << what << answer.out;
        } else {
          expect_refused_cleanly(answer, pod, what);
        }
        (void)call_program(folder + "/bin/flannel", "DEL", pod, config);
        (void)call("DEL", pod, flannel_config());
        std::filesystem::remove_all(records());
        shell("for l in $(ip -br link show type bridge | cut -d' ' -f1); do ip link del $l; done");
        ASSERT_EQ(leftovers(), Names()) << what;
      }
    }
  }
}

TEST_F(CniHostile, InputThatDoesNotEndIsRefusedBeforeItIsAllHeld) {
  const Pod pod = make_pod("pod");
  const Answer answer =
      answer_of(run_process("/bin/sh", {"-c", "head -c 2G /dev/zero | " + folder + "/bin/flannel"},
                            "", variables("ADD", pod)));
  EXPECT_EQ(answer.code(), 5) << answer.out;
  EXPECT_EQ(answer.text("msg"), "error reading from stdin: File too large");
  expect_refused_cleanly(answer, pod, "2 GB");
  rusage used{};
  ASSERT_EQ(::getrusage(RUSAGE_CHILDREN, &used), 0);
  EXPECT_LT(used.ru_maxrss, 256 << 10) << "kB";
}

TEST_F(CniHostile, NothingThatIsNoFileHoldsItUp) {
  const Pod pod = make_pod("pod");
  const std::string fifo = folder + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd writer(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(call("ADD", pod, flannel_config(), {{"CNI_NETNS", fifo}}).code(), 8);
  del(pod, flannel_config(), {{"CNI_NETNS", fifo}});
  for (const std::string& file : {fifo, std::string("/dev/zero"), std::string("/dev/tty")}) {
    const Answer answer = call("ADD", pod, flannel_config({{"subnetFile", file}}));
    EXPECT_EQ(answer.code(), 11) << answer.out;
    const Answer other = call(
        "ADD", pod, flannel_config({{"ipam", {{"dataDir", networks()}, {"resolvConf", file}}}}));
    EXPECT_EQ(other.code(), 5) << other.out;
    del(pod, flannel_config());
  }
  ASSERT_EQ(::mkfifo((records() + "/pod").c_str(), 0600), 0);
  add(pod, flannel_config());
  del(pod, flannel_config());
  EXPECT_EQ(leftovers(), Names{"record pod"});
}

TEST_F(CniHostile, WithoutAListNothingIsCollected) {
  const Pod pod = make_pod("pod");
  add(pod, flannel_config());
  const Names before = leftovers();
  for (const json::value& list : {json::value(nullptr), json::value("all")}) {
    const json::object config = flannel_config({{"cni.dev/valid-attachments", list}});
    EXPECT_EQ(call("GC", {}, config).code(), 7);
  }
  EXPECT_EQ(call("GC", {}, flannel_config()).code(), 7);
  for (const char* type : {"bridge", "host-local", "portmap"}) {
    EXPECT_EQ(call("GC", {}, bridge_config({{"type", type}})).code(), 7) << type;
  }
  EXPECT_EQ(leftovers(), before);
}

TEST_F(CniHostile, ADelBelievesNoResultAboutAnothersPort) {
  const json::object config = flannel_config();
  const Pod victim = make_pod("victim"), liar = make_pod("liar");
  const Answer of_victim = add(victim, config);
  add(liar, config);
  del(liar, with_result(config, of_victim), {{"CNI_NETNS", ""}});
  EXPECT_TRUE(pings(victim.netns, "10.5.1.1"));
}

TEST_F(CniHostile, RulesAreMadeAndRemovedWithAnyName) {
  const json::array ports = {{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}};
  for (const char* backend : {"nftables", "iptables"}) {
    write(env_file(), std::string(kDualEnv) + "FLANNEL_IPMASQ=false\n");
    const json::object config =
        flannel_config({{"delegate", {{"ipMasqBackend", backend}, {"macspoofchk", true}}}});
    const std::vector<std::pair<std::string, std::string>> names = {
        {"pod", "\";monitor#"},
        {"pod", "a\"b"},
        {"pod", "x;y"},
        {"pod", "x{y"},
        {"pod", "x#"},
        {"pod", "net-1.2@x"},
        {std::string(128, 'i'), "eth0"},
        {std::string(200, 'i'), "net-1.2@x"}};
    for (const auto& [id, ifname] : names) {
      SCOPED_TRACE(fmt::format("{} {}", id, ifname));
      Pod pod = make_pod("netns");
      pod.id = id;
      pod.ifname = ifname;
      const Answer added = add(pod, config);
      const std::string rules = shell("nft list ruleset");
      EXPECT_NE(rules.find("macspoofchk-"), std::string::npos);
      EXPECT_EQ(shell("nft list tables | grep -c pwned || true"), "0\n");
      json::object chained = with_result(bridge_config({{"type", "portmap"}}), added);
      chained["backend"] = backend;
      chained["runtimeConfig"] = {{"portMappings", ports}};
      add(pod, chained);
      EXPECT_TRUE(call("CHECK", pod, chained).ok());
      del(pod, chained);
      EXPECT_EQ(shell("nft list ruleset").find("dport 8080"), std::string::npos);
      EXPECT_TRUE(call("CHECK", pod, with_result(config, added)).ok());
      del(pod, config);
      EXPECT_EQ(leftovers(), Names());
      remove_netns(pod);
    }
  }
}

TEST_F(CniHostile, ConditionsAreNoCommandsOfNft) {
  const Pod pod = make_pod("pod");
  json::object config = with_result(bridge_config({{"type", "portmap"}, {"backend", "nftables"}}),
                                    add(pod, flannel_config()));
  config["runtimeConfig"] = {
      {"portMappings", {{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}}}};
  for (const char* bad : {"accept ; add table ip pwned", "accept #", "accept \\", "ip saddr \"",
                          "accept\nadd table ip pwned"}) {
    config["conditionsV4"] = json::array{bad};
    EXPECT_EQ(call("ADD", pod, config).code(), 7) << bad;
  }
  EXPECT_EQ(shell("nft list tables").find("pwned"), std::string::npos);
  config["conditionsV4"] = json::array{"ip", "saddr", "{ 198.18.0.0/16,", "198.19.0.0/16 }"};
  add(pod, config);
  del(pod, config);
}

TEST_F(CniHostile, AnInterfaceThatIsThereAlreadyIsNotRemoved) {
  const Pod pod = make_pod("pod");
  in(pod, "ip link add other1 type bridge");
  in(pod, "ip link add veth1 type veth peer veth2");
  for (const char* name : {"lo", "other1", "veth1"}) {
    Pod named = pod;
    named.ifname = name;
    EXPECT_NE(call("ADD", named, flannel_config()).text("msg").find(name), std::string::npos);
    EXPECT_EQ(leftovers(), Names()) << name;
    del(named, flannel_config());
    in(pod, fmt::format("ip link show {}", name));
  }
  for (const char* name : {"lo", "other1"}) {
    Pod named = pod;
    named.ifname = name;
    del(named, bridge_config());
    in(pod, fmt::format("ip link show {}", name));
  }
}

class CniHost : public CniFixture {
 protected:
  json::object config() const {
    return flannel_config({{"delegate", {{"isDefaultGateway", true}}}});
  }
};

TEST_F(CniHost, KeepsItsDefaultRouteOfRouterAdvertisements) {
  write(env_file(), kDualEnv);
  shell("sysctl -qw net.ipv6.conf.default.accept_dad=0");
  for (const char* name : {"up1", "up2", "up3"}) {
    shell(fmt::format(
        "ip link add {0} type veth peer p-{0} && ip link set {0} up; ip link set p-{0} up", name));
  }
  shell("sysctl -qw net.ipv6.conf.up3.accept_ra=0");
  for (const char* name : {"up1", "up3"}) {
    shell(fmt::format("ip -6 route add default via fe80::1 dev {} proto ra metric 10{} expires 600",
                      name, name + 2));
  }
  add(make_pod("pod"), config());
  EXPECT_EQ(shell("cat /proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
  const auto accepts = [](const char* name) {
    return shell(fmt::format("cat /proc/sys/net/ipv6/conf/{}/accept_ra", name));
  };
  EXPECT_EQ(accepts("up1"), "2\n");
  EXPECT_EQ(accepts("up2"), "1\n") << "which has learned nothing";
  EXPECT_EQ(accepts("up3"), "0\n") << "as somebody set it";
  EXPECT_NE(shell("ip -6 route show default").find("dev up1 proto ra"), std::string::npos);
}

TEST_F(CniHost, WithIpv6OffByDefaultHasItOnOurDevices) {
  write(env_file(), kDualEnv);
  shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
  const Pod pod = make_pod("pod");
  const Answer added = add(pod, config());
  EXPECT_TRUE(pings(pod.netns, "fc00:5:0:1::1"));
  EXPECT_EQ(shell("cat /proc/sys/net/ipv6/conf/cni0/disable_ipv6"), "0\n");
  EXPECT_EQ(shell("cat /proc/sys/net/ipv6/conf/cni0/accept_ra"), "0\n");
  EXPECT_EQ(shell("cat /proc/sys/net/ipv6/conf/default/disable_ipv6"), "1\n");
}

TEST_F(CniHost, APodTakesNoAddressBesideThatOfIpam) {
  const Pod v4 = make_pod("v4"), both = make_pod("both");
  add(v4, config());
  write(env_file(), kDualEnv);
  add(both, config());
  EXPECT_EQ(in(v4, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "1\n");
  EXPECT_EQ(in(both, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "0\n");
}

TEST_F(CniHost, ReadOnlySettingsKeepNoPodFromStarting) {
  write(env_file(), kDualEnv);
  add(make_pod("first"), config());  // forwarding is on
  const Pod pod = make_pod("pod");
  ASSERT_EQ(::mount("/proc/sys", "/proc/sys", "", MS_BIND, ""), 0);
  ASSERT_EQ(::mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
  const Answer added = add(pod, config());
  EXPECT_TRUE(pings(pod.netns, "fc00:5:0:1::1"));
  json::object chained = with_result(bridge_config({{"type", "portmap"}}), added);
  chained["runtimeConfig"] = {
      {"portMappings", {{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}}}};
  add(pod, chained);
  del(pod, chained);
  ::umount2("/proc/sys", MNT_DETACH);
}

TEST_F(CniHost, AGatewayThatNobodyCouldReachIsRefusedByName) {
  const Pod pod = make_pod("pod");
  json::object ipam{{"type", "host-local"}, {"dataDir", networks()}, {"subnet", "10.5.1.0/24"}};
  ipam["gateway"] = "10.9.9.9";
  Answer answer = call("ADD", pod, bridge_config({{"ipam", ipam}}));
  EXPECT_NE(answer.text("msg").find("gateway 10.9.9.9 is outside"), std::string::npos)
      << answer.out;
  ipam["gateway"] = "fc00::1";
  answer = call("ADD", pod, bridge_config({{"ipam", ipam}, {"isGateway", false}}));
  EXPECT_NE(answer.text("msg").find("gateway fc00::1 is of another family"), std::string::npos)
      << answer.out;
  EXPECT_EQ(leftovers(), Names());
}

}  // namespace
}  // namespace flannel::cni
