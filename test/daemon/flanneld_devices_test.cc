// Whose a device of our name is: of one living flanneld, whatever network it had before.

#include "test/daemon/flanneld_fixture.h"

namespace flannel {
namespace {

class FlanneldDevicesTest : public FlanneldTest {
 protected:
  static std::string network(const std::string& name) {
    return fmt::format(R"({{"Network":"{}","Backend":{{"Type":"vxlan"}}}})", name);
  }
  // The daemon, as in a container without privileges.
  void start_with_read_only_settings(const std::string& config) {
    ASSERT_TRUE(write_local_config(store(), config));
    Arguments words{"unshare",
                    "-m",
                    "sh",
                    "-c",
                    "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && "
                    "exec \"$@\"",
                    "sh"};
    const Arguments flanneld = command({});
    words.insert(words.end(), flanneld.begin(), flanneld.end());
    daemon = start_detached(words, "", folder + "/log", [](const ProcessId&) {});
  }
  static bool has_route(const std::string& to) {
    return run_program({"ip", "route"}).find(to) != std::string::npos;
  }
  static std::string device() {
    return run_program({"ip", "-d", "link", "show", "flannel.1"}) +
           run_program({"ip", "addr", "show", "flannel.1"}) +
           run_program({"bridge", "fdb", "show", "dev", "flannel.1"});
  }
};

TEST_F(FlanneldDevicesTest, ASecondDaemonWithTheSameVniWaitsAndTakesOverWhenTheFirstEnds) {
  const std::string other = folder + "/other";
  std::filesystem::create_directories(other);
  ASSERT_TRUE(write_local_config(store(), kConfig));
  ASSERT_TRUE(write_local_config(other + "/leases.db", network("10.6.0.0/16")));
  const Lease ours = peer_lease("10.5.61.0-24"), theirs = peer_lease("10.6.61.0-24");
  put(ours);
  ASSERT_TRUE(put_local_leases(other + "/leases.db", std::span(&theirs, 1)));
  start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const std::string before = device();
  const ProcessId second =
      start_detached({TestLab::binary("flanneld"), "--local-store=" + other + "/leases.db",
                      "--subnet-file=" + other + "/subnet.env"},
                     "", other + "/log", [](const ProcessId&) {});
  const auto second_page = [&](const std::string& path) {
    const Result<Page> found = get_page(other + "/flanneld.sock", path);
    return found ? found->body : "";
  };
  const std::string reason = fmt::format(
      "flannel.1 is used by another flanneld on this node, process {}, for 10.5.0.0/16: "
      "give this network a VNI of its own",
      daemon.pid);
  EXPECT_TRUE(eventually([&] { return second_page("/readyz").find(reason) != std::string::npos; }))
      << second_page("/readyz");
  EXPECT_NE(read_file(other + "/subnet.env.reason").value_or("").find(reason), std::string::npos);
  EXPECT_EQ(device(), before) << "the first has its overlay";
  EXPECT_TRUE(has_route("10.5.61.0/24"));
  EXPECT_FALSE(has_route("10.6.61.0/24"));
  EXPECT_TRUE(is_ready());

  ::kill(daemon.pid, SIGKILL);
  exit_code();
  EXPECT_TRUE(eventually([&] { return second_page("/readyz") == "flanneld is ready\n"; }))
      << read_file(other + "/log").value_or("");
  EXPECT_TRUE(has_route("10.6.61.0/24"));
  EXPECT_EQ(device().find("10.5."), std::string::npos) << device();
  EXPECT_TRUE(end_process(second));
}

// The kernel renews neither the default route nor the addresses from then on.
TEST_F(FlanneldDevicesTest, WarnsOfAnUplinkThatForwardsAndLosesWhatRoutersAdvertised) {
  const std::string reason = "sysctl net.ipv6.conf.eth0.accept_ra=2";
  const auto set = [](const std::string& setting) {
    EXPECT_EQ(RunningProgram({"sysctl", "-qw", "net.ipv6.conf." + setting}).wait().status, 0);
  };
  set("eth0.accept_ra=2");
  set("all.forwarding=1");
  run_program({"ip", "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0", "proto",
               "ra", "expires", "600"});
  set("eth0.accept_ra=1");
  ASSERT_TRUE(write_local_config(store(), kConfig));
  start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  EXPECT_NE(page("/status").find(reason), std::string::npos) << page("/status");
  EXPECT_NE(page("/status").find(R"("state":"ready")"), std::string::npos);
  run_program({"ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1"});
  run_program({"ip", "addr", "add", "198.18.9.1/24", "dev", "pod0"});
  run_program({"ip", "link", "set", "pod0", "up"});
  set("eth0.accept_ra=2");
  run_program({"ip", "addr", "add", "198.18.9.2/24", "dev", "pod0"});
  EXPECT_TRUE(eventually([&] { return page("/status").find(reason) == std::string::npos; }));
  const std::string told = log();
  EXPECT_EQ(told.find(reason), told.rfind(reason)) << "once";
  EXPECT_NE(told.find(reason), std::string::npos);
}

TEST_F(FlanneldDevicesTest, WithoutThePrivilegeItEndsBeforeItTakesALease) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  Arguments words{"setpriv", "--bounding-set=-net_admin"};
  const Arguments flanneld = command({});
  words.insert(words.end(), flanneld.begin(), flanneld.end());
  const ProgramResult result = run(words);
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find("CAP_NET_ADMIN is missing"), std::string::npos) << result.output;
  EXPECT_EQ(result.output.find("Lease acquired"), std::string::npos) << result.output;
  EXPECT_NE(read_file(folder + "/subnet.env.reason").value_or("").find("CAP_NET_ADMIN"),
            std::string::npos);
}

// As in a container without privileges. The overlay works without; there is nothing to say where
// the host has it as it should be.
TEST_F(FlanneldDevicesTest, ASettingThatProtectsAndCannotBeWrittenIsNamedOnceAndKeepsNothingBack) {
  const std::string warning =
      "net.ipv6.conf.flannel.1.accept_ra is 1 and cannot be set to 0 here (Read-only file system)";
  for (const bool is_right : {true, false}) {
    const std::string value = is_right ? "0" : "1";
    run_program({"sysctl", "-qw", "net.ipv6.conf.default.accept_ra=" + value});
    start_with_read_only_settings(kConfig);
    put(peer_lease("10.5.61.0-24"));
    EXPECT_TRUE(eventually([&] { return is_ready() && has_route("10.5.61.0/24"); })) << log();
    const std::string status = page("/status");
    EXPECT_NE(status.find(R"("state":"ready")"), std::string::npos) << status;
    EXPECT_NE(status.find(R"("problem_count":0,)"), std::string::npos) << status;
    EXPECT_EQ(status.find(warning) == std::string::npos, is_right) << status;
    EXPECT_EQ(page("/plan"), "200 ");
    put(vxlan_lease("10.5.62.0-24", "198.18.0.4", Mac::local(0x62)));
    EXPECT_TRUE(eventually([&] { return has_route("10.5.62.0/24"); }));
    const std::size_t at = log().find(warning);
    EXPECT_EQ(at == std::string::npos, is_right) << log();
    EXPECT_EQ(log().find(warning, at + 1), std::string::npos) << "more than once: " << log();
    EXPECT_TRUE(end_process(daemon));
    run_program({"ip", "link", "del", "flannel.1"});
  }
}

// Without IPv6 on the device there is no overlay of that family.
TEST_F(FlanneldDevicesTest, ASettingThatIsNeededAndCannotBeWrittenIsATroubleAndTriedWithPasses) {
  run_program({"ip", "addr", "add", "fd99::2/64", "dev", "eth0", "nodad"});
  run_program({"ip", "-6", "route", "add", "default", "via", "fd99::1", "dev", "eth0"});
  run_program({"sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"});
  start_with_read_only_settings(
      R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})");
  const std::string remedy = "sysctl net/ipv6/conf/flannel-v6.1/disable_ipv6=0";
  EXPECT_TRUE(eventually([&] { return waits_for(fmt::format("`{}` on the host", remedy)); }))
      << page("/status") << log();
  const auto number = [&](const std::string& after, const std::string& field) {
    const std::string status = page("/status");
    const std::size_t at = status.find(field, status.find(after));
    return at == std::string::npos ? -1 : std::atoi(status.c_str() + at + field.size());
  };
  // What the kernel refuses for its sake is tried all the time; it is not.
  ASSERT_TRUE(eventually([&] { return number("addr fc00:5", R"("attempts":)") >= 8; }))
      << page("/status");
  EXPECT_LE(number("/disable_ipv6=0", R"("attempts":)"), number("\"kernel\"", R"("passes":)"))
      << page("/status");
  run_program({"sysctl", "-qw", remedy.substr(7)});
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << page("/status");
  EXPECT_NE(page("/status").find(R"("problem_count":0,)"), std::string::npos) << page("/status");
}

TEST_F(FlanneldDevicesTest, AfterAChangeOfTheNetworkAndARestartNothingOfTheOldOneIsOnTheDevice) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  const Lease before = peer_lease("10.5.61.0-24"), after = peer_lease("10.6.61.0-24");
  put(before);
  start();
  ASSERT_TRUE(eventually([&] { return is_ready() && has_route("10.5.61.0/24"); })) << log();
  ::kill(daemon.pid, SIGTERM);
  EXPECT_EQ(exit_code(), 0);
  ASSERT_TRUE(write_local_config(store(), network("10.6.0.0/16")));
  put(after);
  start();
  ASSERT_TRUE(eventually([&] { return is_ready() && has_route("10.6.61.0/24"); })) << log();
  EXPECT_NE(device().find("alias flannel 10.6.0.0/16"), std::string::npos) << device();
  EXPECT_NE(device().find("inet 10.6."), std::string::npos) << device();
  EXPECT_EQ(device().find("10.5."), std::string::npos) << device();
  EXPECT_FALSE(has_route("10.5.")) << run_program({"ip", "route"});
  EXPECT_EQ(page("/plan"), "200 ");
}

// As everybody's routes; with nexthop objects iproute2 6.1 could do neither.
TEST_F(FlanneldDevicesTest, RoutesOfAFewPeersCanBeFlushedAndDeletedAndAreBack) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  put(peer_lease("10.5.61.0-24"));
  put(vxlan_lease("10.5.62.0-24", "198.18.0.4", Mac::local(0x62)));
  start();
  const auto is_whole = [&] {
    return has_route("10.5.61.0/24 via 10.5.61.0 dev flannel.1 proto 70 onlink") &&
           has_route("10.5.62.0/24 via 10.5.62.0 dev flannel.1 proto 70 onlink");
  };
  ASSERT_TRUE(eventually([&] { return is_ready() && is_whole(); })) << log();
  const Arguments sabotage[] = {{"ip", "route", "flush", "dev", "flannel.1"},
                                {"ip", "route", "del", "10.5.61.0/24", "dev", "flannel.1"}};
  for (const Arguments& command : sabotage) {
    const auto changes = [&] { return page("/status").substr(page("/status").find("changes")); };
    const std::string before = changes();
    EXPECT_EQ(RunningProgram(command).wait().status, 0);
    EXPECT_TRUE(eventually([&] { return is_whole() && changes() != before; })) << log();
  }
  EXPECT_EQ(page("/plan"), "200 ");
}

}  // namespace
}  // namespace flannel
