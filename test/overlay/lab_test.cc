// The lab itself: it works, and it leaves nothing behind, however it ends.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "ctl/lab_journal.h"
#include "test/support/lab_fixture.h"

namespace flannel {
namespace {

class LabTest : public testing::Test {
 protected:
  void SetUp() override { ROOT_OR_SKIP(); }

  // Starts `lab up` and returns its pid when so many namespaces are in the journal.
  pid_t begin_up(const TestLab& lab, std::size_t namespaces) {
    const pid_t pid = begin(lab.command({"up", "--nodes", "10"}));
    EXPECT_TRUE(eventually([&] {
      const Result<LabRecord> record = LabJournal(lab.directory() + "/journal").read();
      return record && record->namespaces.size() >= namespaces;
    }));
    return pid;
  }
  // Starts a program without waiting for it.
  pid_t begin(const Arguments& words, const std::string& output = "/dev/null") {
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::vector<char*> pointers;
      for (const std::string& word : words) {
        pointers.push_back(const_cast<char*>(word.c_str()));
      }
      pointers.push_back(nullptr);
      ::freopen(output.c_str(), "w", stdout);
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    return pid;
  }
  int exit_code(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void expect_no_trace(const TestLab& lab) {
    EXPECT_EQ(lab.traces(), std::set<std::string>());
    EXPECT_EQ(lab.daemons(), 0U);
  }
};

TEST_F(LabTest, ComesUpWorksAndGoes) {
  const TestLab lab;
  const ProgramResult up = lab.ctl({"up", "--nodes", "3"});
  ASSERT_EQ(up.status, 0) << up.output;
  const ProgramResult ping = lab.ctl({"ping"});
  EXPECT_EQ(ping.status, 0) << ping.output;
  EXPECT_EQ(ping.output.find("FAIL"), std::string::npos) << ping.output;
  EXPECT_NE(ping.output.find("  198.18.0.13\n"), std::string::npos)
      << "the host outside sees p3's node: " << ping.output;
  const ProgramResult leases = lab.ctl({"leases"});
  EXPECT_NE(leases.output.find("198.18.0.13"), std::string::npos) << leases.output;
  EXPECT_NE(lab.ctl({"status"}).output.find("ready"), std::string::npos);
  EXPECT_TRUE(lab.does({"exec", "n2", "ip", "-br", "addr", "show", "dev", "eth0"}));
  EXPECT_NE(lab.ctl({"up"}).output.find("is up"), std::string::npos);
  const ProgramResult down = lab.ctl({"down"});
  EXPECT_EQ(down.status, 0) << down.output;
  EXPECT_NE(down.output.find("nothing is left"), std::string::npos) << down.output;
  expect_no_trace(lab);
  EXPECT_NE(lab.ctl({"down"}).output.find("There is no lab"), std::string::npos);
}

TEST_F(LabTest, CtrlCWhileItComesUpRemovesEverything) {
  const TestLab lab;
  const pid_t up = begin_up(lab, 3);
  ::kill(up, SIGINT);
  EXPECT_EQ(exit_code(up), 130);
  expect_no_trace(lab);
}

TEST_F(LabTest, CtrlCEndsTheDemoAndRemovesEverything) {
  const TestLab lab;
  const std::string output = testing::TempDir() + lab.name() + "-demo";
  const pid_t demo = begin(lab.command({"demo", "--nodes", "2"}), output);
  EXPECT_TRUE(eventually([&] {
    return read_file(output).value_or("").find("What happens to nodes") != std::string::npos;
  }));
  ::kill(demo, SIGINT);
  EXPECT_EQ(exit_code(demo), 130);
  expect_no_trace(lab);
  std::filesystem::remove(output);
}

TEST_F(LabTest, WordsTooManyAreRefusedAndNothingIsRemoved) {
  const TestLab lab, other("b");
  ASSERT_TRUE(lab.does({"up", "--nodes", "1"}));
  EXPECT_EQ(lab.ctl({"down", other.name()}).status, 2);
  EXPECT_EQ(lab.ctl({"up", "5"}).status, 2);
  EXPECT_TRUE(lab.does({"status"}));
  const ProgramResult list = RunningProgram({TestLab::binary("flannelctl"), "lab", "list"}).wait();
  EXPECT_NE(list.output.find(lab.name() + "  1      up"), std::string::npos) << list.output;
}

TEST_F(LabTest, NodesAndPodsKnowEachOtherByName) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "2", "--dual-stack"}));
  for (const char* option : {"-4", "-6"}) {
    const ProgramResult ping = lab.ctl({"exec", "p1", "--", "ping", option, "-c", "1", "p2"});
    EXPECT_EQ(ping.status, 0) << ping.output;
    EXPECT_TRUE(lab.does({"exec", "n1", "ping", option, "-c", "1", "n2"}));
  }
  const ProgramResult status = lab.ctl({"exec", "n1", "flannelctl", "status"});
  EXPECT_EQ(status.status, 0);
  EXPECT_NE(status.output.find("All is well"), std::string::npos) << status.output;
  EXPECT_NE(lab.ctl({"logs", "n2"}).output.find("CLI flags config"), std::string::npos);
}

TEST_F(LabTest, ANodeThatDoesNotRunSaysWhy) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "2"}));
  ASSERT_TRUE(lab.does({"stop", "n2"}));
  const ProgramResult none = lab.ctl({"start", "n2", "--flanneld", "/nonexistent"});
  EXPECT_EQ(none.status, 2);
  EXPECT_NE(none.output.find("--flanneld /nonexistent: no program"), std::string::npos)
      << none.output;
  const ProgramResult ended = lab.ctl({"start", "n2", "--flanneld", "/bin/false"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.output.find("the flanneld of n2 ended: flannelctl starts /bin/false"),
            std::string::npos)
      << ended.output;
  const ProgramResult status = lab.ctl({"status"});
  EXPECT_NE(status.output.find("its log ends: flannelctl starts /bin/false"), std::string::npos)
      << status.output;
  EXPECT_TRUE(lab.does({"start", "n2"}));
}

TEST_F(LabTest, AnEtcdThatDoesNotAnswerIsNamedSoon) {
  const TestLab lab;
  const ProgramResult up = lab.ctl({"up", "--nodes", "1", "--store", "etcd=http://127.0.0.1:1"});
  EXPECT_EQ(up.status, 1);
  EXPECT_NE(up.output.find("--store etcd=http://127.0.0.1:1: Connection refused"),
            std::string::npos)
      << up.output;
  expect_no_trace(lab);
}

TEST_F(LabTest, AMissingProgramIsNamedBeforeAnythingIsMade) {
  const TestLab lab;
  const ProgramResult up = RunningProgram({"env", "PATH=/nonexistent", lab.command({})[0], "lab",
                                           "up", "--name", lab.name()})
                               .wait();
  EXPECT_EQ(up.status, 2);
  EXPECT_NE(up.output.find("ip: not in PATH (Debian package iproute2)"), std::string::npos)
      << up.output;
  expect_no_trace(lab);
}

TEST_F(LabTest, OtherUsersAreToldThatTheyMayNot) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "1"}));
  const auto as_nobody = [](Arguments words) {
    words.insert(words.begin(), {"setpriv", "--reuid=65534", "--clear-groups"});
    return RunningProgram(words).wait();
  };
  for (const Arguments& words : std::vector<Arguments>{
           {"up"}, {"status"}, {"ping"}, {"leases"}, {"stop", "n1"}, {"logs", "n1"}, {"down"}}) {
    const ProgramResult result = as_nobody(lab.command(words));
    EXPECT_EQ(result.status, 1) << words[0];
    EXPECT_NE(result.output.find("permission denied"), std::string::npos) << result.output;
  }
  EXPECT_TRUE(lab.does({"ping"}));
}

TEST_F(LabTest, AnAnswerThatDoesNotArriveIsAFailure) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "1"}));
  for (const Arguments& words : std::vector<Arguments>{{"status"}, {"leases"}}) {
    EXPECT_EQ(exit_code(begin(lab.command(words), "/dev/full")), 1) << words[0];
  }
  EXPECT_EQ(exit_code(begin({TestLab::binary("flannelctl"), "--help"}, "/dev/full")), 1);
}

// The exit code of `flannelctl status` is for scripts.
TEST_F(LabTest, StatusSaysByItsExitCodeWhetherTheNodeIsReady) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "1"}));
  const auto status = [&lab](Arguments more) {
    more.insert(more.begin(), {"exec", "n1", "flannelctl", "status"});
    return lab.ctl(more).status;
  };
  EXPECT_EQ(status({}), 0);
  EXPECT_EQ(status({"--json"}), 0);
  ASSERT_EQ(lab.ip("n1", {"addr", "flush", "dev", "eth0"}).status, 0);
  EXPECT_TRUE(eventually([&] { return status({}) == 1; }));
  EXPECT_EQ(status({"--json"}), 1);
  EXPECT_EQ(status({"--wait=0"}), 1);
  ASSERT_TRUE(lab.does({"stop", "n1"}));
  EXPECT_EQ(status({}), 1);
}

TEST_F(LabTest, WhatACrashLeftIsRemovedByDown) {
  const TestLab lab;
  const pid_t up = begin_up(lab, 5);
  ::kill(up, SIGKILL);
  EXPECT_EQ(exit_code(up), 128 + SIGKILL);
  EXPECT_FALSE(lab.traces().empty());
  EXPECT_TRUE(lab.does({"down"}));
  expect_no_trace(lab);
}

// `ip` is slow to make the first node, and outlives who ran it.
TEST_F(LabTest, WhatIsMadeAfterTheCrashIsRemovedByDownToo) {
  const TestLab lab;
  const TestDirectory directory;
  ASSERT_TRUE(replace_file(directory.file("ip"),
                           "#!/bin/sh\n"
                           "case \"$*\" in \"netns add\"*-n1) sleep 0.5;; esac\n"
                           "PATH=${PATH#*:} exec ip \"$@\"\n",
                           0755));
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (directory.path().string() + ":" + path).c_str(), 1);
  const pid_t up = begin_up(lab, 2);
  ::setenv("PATH", path.c_str(), 1);
  ::kill(up, SIGKILL);
  exit_code(up);
  EXPECT_TRUE(lab.does({"down"}));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  expect_no_trace(lab);
}

TEST_F(LabTest, TheSecondOfTwoAtOnceFindsTheFirstOnesLab) {
  const TestLab lab;
  const pid_t up = begin_up(lab, 2);
  const ProgramResult second = lab.ctl({"up", "--nodes", "1"});
  EXPECT_EQ(second.status, 1) << second.output;
  EXPECT_NE(second.output.find("is up; `flannelctl lab down --name " + lab.name() + "` removes it"),
            std::string::npos)
      << second.output;
  EXPECT_EQ(exit_code(up), 0);
  EXPECT_TRUE(lab.does({"ping"}));
  EXPECT_TRUE(lab.does({"down"}));
  expect_no_trace(lab);
}

TEST_F(LabTest, WhatACrashLeftIsRemovedByTheNextUp) {
  const TestLab lab;
  const pid_t up = begin_up(lab, 2);
  ::kill(up, SIGKILL);
  exit_code(up);
  const ProgramResult again = lab.ctl({"up", "--nodes", "1"});
  EXPECT_EQ(again.status, 0) << again.output;
  EXPECT_NE(again.output.find("left behind by a crash"), std::string::npos) << again.output;
  EXPECT_TRUE(lab.does({"down"}));
  expect_no_trace(lab);
}

TEST_F(LabTest, ANamespaceThatIsNotItsOwnIsLeftAlone) {
  const TestLab lab;
  const std::string foreign = lab.name() + "-n2";
  run_program({"ip", "netns", "add", foreign});
  const ProgramResult up = lab.ctl({"up", "--nodes", "3"});
  EXPECT_NE(up.status, 0);
  EXPECT_NE(up.output.find(foreign + " is there already"), std::string::npos) << up.output;
  EXPECT_EQ(lab.traces(), std::set<std::string>{foreign});
  run_program({"ip", "netns", "delete", foreign});
}

TEST_F(LabTest, ANodeThatDoesNotExistIsNamed) {
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "1"}));
  const ProgramResult exec = lab.ctl({"exec", "n9", "true"});
  EXPECT_EQ(exec.status, 2);
  EXPECT_NE(exec.output.find("n9: no node (n1 to n1)"), std::string::npos) << exec.output;
}

TEST_F(LabTest, ABackendThatIsNotBuiltIsRefusedByName) {
  const TestLab lab;
  const ProgramResult up = lab.ctl({"up", "--nodes", "1", "--backend", "nope"});
  EXPECT_EQ(up.status, 2);
  EXPECT_EQ(lab.ctl({"up", "--ipv6", "--dual-stack"}).status, 2);
  EXPECT_NE(up.output.find("unknown backend type: nope (known: alloc, host-gw, vxlan)"),
            std::string::npos)
      << up.output;
  expect_no_trace(lab);
}

TEST_F(LabTest, ItsLeasesMayLieInEtcd) {
  const TestLab lab;
  const ProgramResult up = lab.ctl({"up", "--nodes", "2", "--store", "etcd"});
  ASSERT_EQ(up.status, 0) << up.output;
  EXPECT_TRUE(lab.does({"ping"}));
  EXPECT_TRUE(lab.does({"down"}));
  expect_no_trace(lab);
}

}  // namespace
}  // namespace flannel
