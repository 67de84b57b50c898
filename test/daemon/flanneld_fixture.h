// flanneld as a program in a network namespace of the test's process, with an underlay device eth0.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "ctl/status_client.h"
#include "network/lease_fixture.h"
#include "store/local_store.h"
#include "test/support/lab_fixture.h"
#include "test/support/shell.h"

namespace flannel {

inline constexpr const char* kConfig =
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan"}})";

// What programs that are started while there is one tell their service manager (sd_notify(3)).
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    const timeval patience{20, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~NotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // The next message, which may be waited for; "" where none comes.
  std::string message(int flags = 0) const {
    char text[64];
    const ssize_t size = ::recv(socket_.get(), text, sizeof text, flags);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  UniqueFd socket_;
};

class FlanneldTest : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    make_underlay();
  }
  void TearDown() override {
    if (daemon.pid != 0) {
      end_process(daemon);
    }
  }

  Arguments command(const Arguments& more) const {
    Arguments words{TestLab::binary("flanneld"), "--local-store=" + store(),
                    "--subnet-file=" + folder + "/subnet.env"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  void start(const Arguments& more = {}) {
    daemon = start_detached(command(more), "", folder + "/log", [](const ProcessId&) {});
  }
  // Of a daemon that ends by itself: its exit code and what it printed.
  static ProgramResult run(const Arguments& words) { return RunningProgram(words).wait(); }

  std::string store() const { return folder + "/leases.db"; }
  void put(const Lease& lease) const {
    ASSERT_TRUE(put_local_leases(store(), std::span(&lease, 1)));
  }
  std::string log() const { return read_file(folder + "/log").value_or(""); }
  std::string page(const std::string& path) const {
    const Result<Page> found = get_page(folder + "/flanneld.sock", path);
    return found ? fmt::format("{} {}", found->status, found->body) : "";
  }
  bool is_ready() const { return page("/readyz") == "200 flanneld is ready\n"; }
  bool waits_for(const std::string& reason) const {
    return page("/status").find(reason) != std::string::npos;
  }
  // What `change` leads to, each time from what `prepare` makes, is there within 0.7 s in one of
  // ten tries: a busy machine makes some of them late, waiting for a second all.
  template <class Condition>
  static bool is_at_once(const std::function<void()>& prepare, const std::function<void()>& change,
                         Condition is_so) {
    for (int left = 10; left > 0; --left) {
      prepare();
      const auto begun = std::chrono::steady_clock::now();
      change();
      if (!eventually(is_so)) {
        return false;
      }
      if (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(700)) {
        return true;
      }
    }
    return false;
  }
  int exit_code() {
    int status = 0;
    EXPECT_EQ(::waitpid(daemon.pid, &status, 0), daemon.pid);
    daemon = {};
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  const TestDirectory directory;
  const std::string folder = directory.path();
  ProcessId daemon;
};

inline Lease peer_lease(const std::string& key, const std::string& ip = "198.18.0.3") {
  return vxlan_lease(key, ip, Mac::local(0x61));
}

}  // namespace flannel
