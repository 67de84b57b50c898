// flanneld as a program: exit codes, what it waits for, its pages, readiness, signals.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>

#include "network/subnet_env.h"
#include "test/daemon/flanneld_fixture.h"

namespace flannel {
namespace {

TEST_F(FlanneldTest, SaysWhatItWaitsForAndIsReadyWhenItIs) {
  const NotifySocket manager(folder + "/notify");
  start();
  ASSERT_TRUE(eventually([&] { return waits_for("no network configuration"); })) << log();
  const std::string reason = folder + "/subnet.env.reason";
  EXPECT_NE(read_file(reason).value_or("").find("no network configuration"), std::string::npos);
  EXPECT_EQ(page("/healthz"), "200 flanneld is running\n");
  EXPECT_TRUE(page("/readyz").starts_with("503 flanneld is not ready yet\nCouldn't fetch network "))
      << page("/readyz");
  EXPECT_EQ(page("/nothing"), "404 404 page not found\n");
  EXPECT_TRUE(page("/plan").starts_with("200 # nothing is planned yet"));
  EXPECT_EQ(manager.message(MSG_DONTWAIT), "");

  ASSERT_TRUE(write_local_config(store(), kConfig));
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  EXPECT_EQ(manager.message(), "READY=1");
  const std::string env = *read_file(folder + "/subnet.env");
  EXPECT_TRUE(env.starts_with("FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.")) << env;
  EXPECT_TRUE(env.ends_with(".1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n")) << env;
  EXPECT_FALSE(read_file(reason)) << "what was waited for is there";
  for (const char* grepped : {"Found network config - Backend type: vxlan", "Running backend.",
                              "Using interface with name eth0 and address 198.18.0.2",
                              "Wrote subnet file to", "flannel is ready"}) {
    EXPECT_NE(log().find(grepped), std::string::npos) << grepped;
  }
}

// The overlay is up, pods that are there already go on: the unit is not to time out.
TEST_F(FlanneldTest, AUnitIsStartedAlsoWhereTheSubnetFileCannotBeWritten) {
  const NotifySocket manager(folder + "/notify");
  ASSERT_TRUE(write_local_config(store(), kConfig));
  std::filesystem::create_directories(folder + "/subnet.env/in-the-way");
  start();
  EXPECT_EQ(manager.message(), "READY=1") << log();
  EXPECT_TRUE(
      page("/readyz").starts_with("503 flanneld is not ready yet\nFailed to write subnet file: "))
      << page("/readyz");
  std::filesystem::remove_all(folder + "/subnet.env");
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
}

TEST_F(FlanneldTest, ABadConfigurationIsNamedOnceAndCanBePutRight) {
  ASSERT_TRUE(write_local_config(store(), R"({"Network":"10.5.0.0/16","SubnetLen":31})"));
  start();
  ASSERT_TRUE(eventually([&] { return waits_for("SubnetLen must be less than /31"); })) << log();
  ::usleep(500'000);  // some more tries
  const std::string text = log();
  const std::size_t first = text.find("SubnetLen must be less");
  EXPECT_EQ(text.find("SubnetLen must be less", first + 1), std::string::npos) << text;
  ASSERT_TRUE(write_local_config(store(), kConfig));
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
}

TEST_F(FlanneldTest, WaitsForItsInterface) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  start({"--iface=late0"});
  ASSERT_TRUE(eventually([&] { return waits_for("there is no interface late0"); })) << log();
  run_program({"ip", "-batch", "-"},
              "link add late0 type veth peer name late1\n"
              "addr add 198.18.7.2/24 dev late0\n"
              "link set late0 up\n");
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
}

TEST_F(FlanneldTest, ASignalEndsItAndLeavesTheOverlay) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  for (const int signal : {SIGTERM, SIGINT}) {
    start();
    ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
    ::kill(daemon.pid, signal);
    EXPECT_EQ(exit_code(), 0);
    EXPECT_EQ(run({"ip", "link", "show", "flannel.1"}).status, 0);
    EXPECT_TRUE(read_file(folder + "/subnet.env"));
  }
  EXPECT_NE(log().find("Exiting cleanly..."), std::string::npos);
}

TEST_F(FlanneldTest, ASignalEndsItAlsoWhileItWaits) {
  start();
  ASSERT_TRUE(eventually([&] { return waits_for("no network configuration"); }));
  ::kill(daemon.pid, SIGTERM);
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(FlanneldTest, ItsHealthPagesAreWhereTheyWereWanted) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  start({"--healthz-ip=localhost", "--healthz-port=18081"});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  EXPECT_EQ(run({"curl", "-s", "http://127.0.0.1:18081/healthz"}).output, "flanneld is running\n");
  EXPECT_EQ(run({"curl", "-s", "-X", "POST", "http://127.0.0.1:18081/readyz"}).output,
            "flanneld is ready\n");
  EXPECT_EQ(
      run({"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:18081/status"})
          .output,
      "404");
  const ProgramResult second = run({TestLab::binary("flanneld"), "--local-store=" + store(),
                                    "--subnet-file=" + folder + "/2/subnet.env",
                                    "--healthz-ip=127.0.0.1", "--healthz-port=18081"});
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.output.find("listen on 127.0.0.1:18081: Address already in use"),
            std::string::npos)
      << second.output;
}

TEST_F(FlanneldTest, AWrongBackendEndsItByName) {
  for (const auto& [backend, text] : std::initializer_list<std::pair<std::string, std::string>>{
           {R"({"Type":"nope"})", "Error fetching backend: unknown backend type: nope"},
           {R"({"Type":"vxlan","VNI":"1"})",
            "error decoding VXLAN backend config: VNI \"1\": not a number"},
           {R"({"Type":"udp"})", "backend type udp is not supported yet"}}) {
    ASSERT_TRUE(write_local_config(
        store(), fmt::format(R"({{"Network":"10.5.0.0/16","Backend":{}}})", backend)));
    const ProgramResult result = run(command({}));
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find(text), std::string::npos) << result.output;
    EXPECT_NE(read_file(folder + "/subnet.env.reason").value_or("").find(text), std::string::npos);
  }
}

TEST_F(FlanneldTest, AStoreOfAnotherKindEndsItByName) {
  std::ofstream(store()) << std::string(4096, 'x');
  const ProgramResult result = run(command({}));
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.output.find(store()), std::string::npos) << result.output;
}

TEST_F(FlanneldTest, FlagsHaveTheirExitCodes) {
  const std::string flanneld = TestLab::binary("flanneld");
  EXPECT_EQ(run({flanneld, "--version"}).status, 0);
  EXPECT_EQ(run({flanneld, "--help"}).status, 0);
  const ProgramResult unknown = run({flanneld, "--nope"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_EQ(unknown.output,
            fmt::format("flag provided but not defined: -nope; see {} --help\n", flanneld));
  const ProgramResult nowhere =
      run({"/usr/bin/env", "-u", "KUBERNETES_SERVICE_HOST", "NODE_NAME=n1", flanneld,
           "--kube-subnet-mgr", "--subnet-file=" + folder + "/subnet.env"});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_TRUE(
      nowhere.output.contains("Failed to create SubnetManager: fail to create kubernetes "
                              "config: this is no pod"))
      << nowhere.output;
}

TEST_F(FlanneldTest, AFullNetworkIsWaitedFor) {
  ASSERT_TRUE(write_local_config(
      store(),
      R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.7.0","SubnetMax":"10.5.7.0","Backend":{"Type":"vxlan"}})"));
  const Lease other = peer_lease("10.5.7.0-24");
  put(other);
  start();
  ASSERT_TRUE(eventually([&] { return waits_for("out of subnets"); })) << log();
  ASSERT_TRUE(remove_local_lease(store(), other.key));
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
  EXPECT_NE(read_file(folder + "/subnet.env")->find("FLANNEL_SUBNET=10.5.7.1/24"),
            std::string::npos);
  const std::size_t told = log().find("out of subnets");
  EXPECT_EQ(log().find("out of subnets", told + 1), std::string::npos) << "once, not once a try";
}

TEST_F(FlanneldTest, ALeaseThatAnotherNodeHasTakenEndsItAndLeavesTheOverlay) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  put(peer_lease("10.5.61.0-24"));
  start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const SubnetEnv env = parse_subnet_env(*read_file(folder + "/subnet.env"));
  const Lease taken = peer_lease(to_text(env.key()), "198.18.0.4");
  put(taken);
  EXPECT_EQ(exit_code(), 1);
  EXPECT_NE(log().find("is held by 198.18.0.4"), std::string::npos) << log();
  EXPECT_NE(run_program({"ip", "route"}).find("10.5.61.0/24"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder + "/subnet.env"));
}

// Each with a network, a VNI and files of its own; what is one's is not the other's.
TEST_F(FlanneldTest, TwoDaemonsShareANode) {
  const std::string other = folder + "/other";
  std::filesystem::create_directories(other);
  ASSERT_TRUE(write_local_config(store(), kConfig));
  ASSERT_TRUE(write_local_config(
      other + "/leases.db", R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan","VNI":2}})"));
  const Lease ours = peer_lease("10.5.61.0-24"), theirs = peer_lease("10.6.61.0-24");
  put(ours);
  ASSERT_TRUE(put_local_leases(other + "/leases.db", std::span(&theirs, 1)));
  start({"--iface-can-reach=198.18.0.77"});
  const ProcessId second =
      start_detached({TestLab::binary("flanneld"), "--local-store=" + other + "/leases.db",
                      "--subnet-file=" + other + "/subnet.env", "--iface-regex=^198\\.18\\.",
                      "--iptables-forward-rules=false"},
                     "", other + "/log", [](const ProcessId&) {});
  const auto is_well = [](const std::string& socket) {
    const Result<Page> ready = get_page(socket, "/readyz"), plan = get_page(socket, "/plan");
    return ready && ready->status == 200 && plan && plan->body.empty();
  };
  EXPECT_TRUE(eventually([&] {
    return is_well(folder + "/flanneld.sock") && is_well(other + "/flanneld.sock");
  })) << log();
  run_program({"ip", "link", "del", "flannel.2"});
  EXPECT_TRUE(eventually(
      [&] { return is_well(folder + "/flanneld.sock") && is_well(other + "/flanneld.sock"); }));
  EXPECT_NE(run_program({"ip", "route"}).find("10.5.61.0/24"), std::string::npos);
  EXPECT_NE(run_program({"ip", "route"}).find("10.6.61.0/24"), std::string::npos);
  const Result<Page> status = get_page(folder + "/flanneld.sock", "/status");
  EXPECT_NE(status->body.find("\"changes\":7,"), std::string::npos)
      << "the first had nothing to heal: " << status->body;
  EXPECT_TRUE(end_process(second));
}

// 1,200 connections of strangers to the health port, with 256 descriptors to begin with.
TEST_F(FlanneldTest, IdleConnectionsDoNotKeepItFromAnswering) {
  const rlimit many{4096, 4096};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &many), 0);
  ASSERT_TRUE(write_local_config(store(), kConfig));
  const Arguments words = command({"--healthz-port=18081"});
  Arguments limited{"prlimit", "--nofile=256:4096"};
  limited.insert(limited.end(), words.begin(), words.end());
  daemon = start_detached(limited, "", folder + "/log", [](const ProcessId&) {});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  std::vector<UniqueFd> strangers;
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = htons(18081), .sin_addr = {}, .sin_zero = {}};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 1200; ++i) {
    strangers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(strangers.back().get(), reinterpret_cast<const sockaddr*>(&address),
                        sizeof address),
              0);
  }
  for (const char* host : {"127.0.0.1", "[::1]"}) {
    EXPECT_EQ(run({"curl", "-gs", fmt::format("http://{}:18081/healthz", host)}).output,
              "flanneld is running\n");
  }
  EXPECT_TRUE(is_ready());
  std::size_t descriptors = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/fdinfo", daemon.pid))) {
    ++descriptors;
    std::ifstream file(entry.path());
    const std::string info(std::istreambuf_iterator<char>(file), {});
    const int fd = std::stoi(entry.path().filename());
    const std::string flags = info.substr(info.find("flags:"));
    EXPECT_TRUE(fd <= STDERR_FILENO || (std::stoul(flags.substr(6), nullptr, 8) & O_CLOEXEC) != 0)
        << std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", daemon.pid, fd));
  }
  EXPECT_LT(descriptors, 100U);
  RecordProperty("descriptors", static_cast<int>(descriptors));
  EXPECT_NE(
      read_file(fmt::format("/proc/{}/limits", daemon.pid))->find("4096                 4096"),
      std::string::npos);
}

// As a DaemonSet's pod does beside a unit of systemd. However the first ends, the second is there.
TEST_F(FlanneldTest, ASecondDaemonWaitsForTheEndOfTheFirst) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const auto waits_for_end = [&](const ProcessId& other) {
    return log().contains(fmt::format(
        "{}/subnet.env is another flanneld's, process {}: waiting for its end", folder, other.pid));
  };
  for (const int signal : {SIGTERM, SIGKILL}) {
    ProcessId first = std::exchange(daemon, {});
    start();
    EXPECT_TRUE(eventually([&] { return waits_for_end(first); })) << log();
    EXPECT_TRUE(is_ready()) << "the first has still its socket";
    std::swap(daemon, first);
    ::kill(daemon.pid, signal);
    exit_code();
    daemon = first;
    EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
    EXPECT_TRUE(page("/status").contains(fmt::format("\"pid\":{},", daemon.pid)));
  }
  const ProcessId first = std::exchange(daemon, {});
  start();
  EXPECT_TRUE(eventually([&] { return waits_for_end(first); })) << log();
  ::kill(daemon.pid, SIGTERM);
  EXPECT_EQ(exit_code(), 0) << "one that waits may be ended as well";
  daemon = first;
  EXPECT_TRUE(is_ready());
}

TEST_F(FlanneldTest, ALivingDaemonsFilesAreNotTakenOver) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const std::string socket = folder + "/flanneld.sock";
  struct stat of_socket{};
  ASSERT_EQ(::stat(socket.c_str(), &of_socket), 0);
  EXPECT_EQ(of_socket.st_mode & 0777U, 0660U);
  const ProgramResult second =
      run(command({"--subnet-file=" + folder + "/2/subnet.env", "--status-socket=" + socket}));
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(second.output.contains(
      fmt::format("{} is another flanneld's, process {}", socket, daemon.pid)))
      << second.output;
  EXPECT_TRUE(is_ready()) << "the first has still its socket";
  ::kill(daemon.pid, SIGKILL);
  exit_code();
  start();
  EXPECT_TRUE(eventually([&] { return is_ready(); })) << log();
  ::kill(daemon.pid, SIGTERM);
  EXPECT_EQ(exit_code(), 0);
  EXPECT_FALSE(std::filesystem::exists(socket));
  std::ofstream(socket) << "somebody's";
  start();
  EXPECT_TRUE(eventually([&] {
    return log().find("flanneld.sock: a file that is no socket is there") != std::string::npos;
  })) << log();
  EXPECT_EQ(read_file(socket), "somebody's");
}

}  // namespace
}  // namespace flannel
