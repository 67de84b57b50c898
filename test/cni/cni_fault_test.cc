// The CNI plugin in trouble: killed at any instant, without space, on a read-only file system, many
// at once.
#include <sys/prctl.h>

#include <thread>

#include "test/cni/cni_fixture.h"
#include "test/cni/killed_program.h"

namespace flannel::cni {
namespace {

class CniFaults : public CniFixture {
 protected:
  void SetUp() override {
    CniFixture::SetUp();
    if (!folder.empty()) {
      ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // the killed plugins' children are ours to wait for
    }
  }

  // False where it came to its end before its call number `at`.
  bool killed(const std::string& verb, const Pod& pod, const json::object& config, int at) const {
    write(folder + "/config", json::serialize(config));
    std::vector<std::string> environment{"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                         "ASAN_OPTIONS=detect_leaks=0"};  // it traces as well
    for (const auto& [name, value] : variables(verb, pod)) {
      environment.push_back(name + "=" + value);
    }
    const bool killed = kill_at_system_call(folder + "/bin/flannel", std::move(environment),
                                            folder + "/config", at);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    return killed;
  }

  // An ADD killed at each of its system calls, then a DEL with `more` variables.
  void kill_adds(const json::object& config, const Variables& more = {}) {
    const Pod pod = make_pod("killed");
    int at = 1;
    for (; killed("ADD", pod, config, at); ++at) {
      del(pod, config, more);
      ASSERT_EQ(leftovers(), Names()) << "killed at system call " << at;
    }
    EXPECT_GT(at, 50);
    EXPECT_TRUE(succeeds("nsenter --net=" + pod.netns + " ip link show eth0"));
    del(pod, config);
    EXPECT_EQ(leftovers(), Names());
    add(pod, config);
    EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
    del(pod, config);
  }
  // A DEL killed at each of its system calls, then another.
  void kill_dels(const json::object& config) {
    const Pod pod = make_pod("killed");
    int at = 1;
    for (bool done = false; !done; ++at) {
      add(pod, config);
      done = !killed("DEL", pod, config, at);
      del(pod, config);
      ASSERT_EQ(leftovers(), Names()) << "killed at system call " << at;
    }
    EXPECT_GT(at, 30);
  }

  json::object masquerading(const char* backend) const {
    write(env_file(), std::string(kDualEnv) + "FLANNEL_IPMASQ=false\n");
    return flannel_config({{"delegate", {{"ipMasqBackend", backend}, {"macspoofchk", true}}}});
  }
};

TEST_F(CniFaults, ADelRemovesWhatAKilledAddLeft) {
  kill_adds(flannel_config());
}

TEST_F(CniFaults, ADelRemovesWhatAKilledAddLeftWithTwoFamilies) {
  write(env_file(), kDualEnv);
  kill_adds(flannel_config({{"delegate", {{"isDefaultGateway", true}}}}));
}

TEST_F(CniFaults, ADelWithoutTheNamespaceRemovesWhatAKilledAddLeft) {
  kill_adds(flannel_config(), {{"CNI_NETNS", ""}});
}

TEST_F(CniFaults, ADelRemovesTheRulesThatAKilledAddLeft) {
  kill_adds(masquerading("iptables"));
}

TEST_F(CniFaults, ADelRemovesTheNftRulesThatAKilledAddLeft) {
  kill_adds(masquerading("nftables"));
}

TEST_F(CniFaults, ADelRemovesWhatAKilledDelLeft) {
  kill_dels(flannel_config());
}

TEST_F(CniFaults, ADelRemovesTheRulesThatAKilledDelLeft) {
  kill_dels(masquerading("iptables"));
}

TEST_F(CniFaults, WithoutSpaceNothingIsLeft) {
  const Pod pod = make_pod("pod");
  // Inodes for the root, the ballast, and then one more of what is to be made: folder, lock,
  // reservation. Or no byte in any file.
  const std::vector<std::pair<std::string, const char*>> cases = {
      {records(), "nr_inodes=2"},  {records(), "size=4k"},      {networks(), "nr_inodes=2"},
      {networks(), "nr_inodes=3"}, {networks(), "nr_inodes=4"}, {networks(), "nr_inodes=5"},
      {networks(), "size=4k"}};
  for (const auto& [full, size] : cases) {
    SCOPED_TRACE(full + " " + size);
    std::filesystem::create_directories(full);
    ASSERT_EQ(::mount("tmpfs", full.c_str(), "tmpfs", 0, size), 0);
    shell("head -c 4096 /dev/zero >" + full + "/ballast");
    const Answer answer = call("ADD", pod, flannel_config());
    EXPECT_EQ(answer.code(), 5) << answer.out;
    EXPECT_NE(answer.text("msg").find(full), std::string::npos) << answer.out;
    EXPECT_NE(answer.text("msg").find("No space left"), std::string::npos) << answer.out;
    del(pod, flannel_config());
    Names left = leftovers();
    left.erase("record ballast");
    EXPECT_EQ(left, Names());
    ASSERT_EQ(::umount2(full.c_str(), MNT_DETACH), 0);
  }
  add(pod, flannel_config());
}

TEST_F(CniFaults, OnAReadOnlyFileSystemNothingIsLeft) {
  const Pod pod = make_pod("pod"), other = make_pod("other");
  add(pod, flannel_config());
  for (const std::string& place : {records(), networks()}) {
    ASSERT_EQ(::mount(place.c_str(), place.c_str(), "", MS_BIND, ""), 0);
    ASSERT_EQ(::mount("", place.c_str(), "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
    const Answer answer = call("ADD", other, flannel_config());
    EXPECT_EQ(answer.code(), 5) << answer.out;
    EXPECT_FALSE(succeeds("nsenter --net=" + other.netns + " ip link show eth0 2>&1"));
    ASSERT_EQ(::umount2(place.c_str(), MNT_DETACH), 0);
    del(other, flannel_config());
  }
  // A DEL that cannot release keeps the record, and the next one ends it.
  ASSERT_EQ(::mount(networks().c_str(), networks().c_str(), "", MS_BIND, ""), 0);
  ASSERT_EQ(::mount("", networks().c_str(), "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
  EXPECT_EQ(call("DEL", pod, flannel_config()).code(), 5);
  ASSERT_EQ(::umount2(networks().c_str(), MNT_DETACH), 0);
  EXPECT_EQ(names_in(records()), Names{"pod"});
  del(pod, flannel_config());
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniFaults, ThirtyTwoAtOnceHaveAddressesOfTheirOwn) {
  write(env_file(), kDualEnv);
  const json::object config = flannel_config({{"delegate", {{"isDefaultGateway", true}}}});
  std::vector<Pod> pods;
  for (int i = 0; i < 32; ++i) {
    pods.push_back(make_pod(fmt::format("pod{}", i)));
  }
  std::vector<Answer> answers(pods.size());
  const auto all_at_once = [&](const char* verb) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < pods.size(); ++i) {
      threads.emplace_back([&, i] { answers[i] = call(verb, pods[i], config); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  };
  for (int round = 0; round < 3; ++round) {
    all_at_once("ADD");
    Names addresses;
    for (const Answer& answer : answers) {
      ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
      addresses.insert({answer.ip(0), answer.ip(1)});
    }
    EXPECT_EQ(addresses.size(), 64U);
    EXPECT_TRUE(pings(pods[0].netns, answers[31].ip(0)));
    EXPECT_TRUE(pings(pods[31].netns, answers[0].ip(1)));
    all_at_once("DEL");
    for (const Answer& answer : answers) {
      EXPECT_TRUE(answer.ok()) << answer.out << answer.err;
    }
    ASSERT_EQ(leftovers(), Names());
  }
}

}  // namespace
}  // namespace flannel::cni
