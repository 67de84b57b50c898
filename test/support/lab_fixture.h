// A lab for tests: two or three nodes with the daemons that were just built, gone with the object.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "ctl/process.h"
#include "test/support/needs.h"
#include "test/support/programs.h"

namespace flannel {

class TestLab {
 public:
  explicit TestLab(std::string suffix = "")
      : name_(fmt::format("t{}{}", ::getpid() % 1000000, suffix)) {}
  ~TestLab() { ctl({"down"}); }

  const std::string& name() const { return name_; }
  std::string directory() const { return "/run/flannel-lab/" + name_; }
  static std::string binary(const std::string& program) { return program_path(program); }

  // `flannelctl lab WORDS --name …`
  Arguments command(Arguments words) const {
    words.insert(words.begin(), {binary("flannelctl"), "lab", "--name", name_});
    return words;
  }
  ProgramResult ctl(Arguments words) const {
    return RunningProgram(command(std::move(words))).wait();
  }
  // It exits with 0; a test that fails shows what it said.
  testing::AssertionResult does(Arguments words) const {
    const ProgramResult result = ctl(std::move(words));
    return (result.status == 0 ? testing::AssertionSuccess() : testing::AssertionFailure())
           << "exit code " << result.status << ": " << result.output;
  }
  // A command on a node or pod.
  ProgramResult on(const std::string& place, Arguments words) const {
    words.insert(words.begin(), {"ip", "netns", "exec", name_ + "-" + place});
    return RunningProgram(words).wait();
  }
  ProgramResult ip(const std::string& node, Arguments words) const {
    words.insert(words.begin(), {"ip", "-n", name_ + "-" + node});
    return RunningProgram(words).wait();
  }
  // A page of node I's status socket.
  std::string page(unsigned node, const std::string& path) const {
    return RunningProgram({"curl", "-s", "--unix-socket",
                           fmt::format("{}/n{}/flanneld.sock", directory(), node),
                           "http://localhost" + path})
        .wait()
        .output;
  }

  // What is there of this lab: namespaces, and its directory.
  std::set<std::string> traces() const {
    std::set<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/run/netns", error)) {
      if (entry.path().filename().string().starts_with(name_ + "-")) {
        found.insert(entry.path().filename());
      }
    }
    if (std::filesystem::exists(directory())) {
      found.insert(directory());
    }
    return found;
  }
  // Daemons of this lab, by their command lines.
  std::size_t daemons() const {
    const std::string output = RunningProgram({"pgrep", "-fc", directory() + "/n"}).wait().output;
    return static_cast<std::size_t>(std::atoi(output.c_str()));
  }

 private:
  std::string name_;
};

// Waits until it is so, at most some seconds.
template <class Condition>
bool eventually(Condition condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    ::usleep(10'000);
  }
  return true;
}

}  // namespace flannel
