// A server of others for tests, on 127.0.0.1: its process, and the port that it takes connections
// at.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace flannel {

// A port of 127.0.0.1 that is nobody else's as long as the object is there, also while its server
// is stopped: connections are not given one of these (net.ipv4.ip_local_port_range), and another
// test that draws it finds the UDP port of the same number taken.
class ServerPort {
 public:
  // Throws std::runtime_error where none is free.
  ServerPort();
  std::uint16_t number() const { return number_; }

 private:
  UniqueFd claim_;
  std::uint16_t number_ = 0;
};

// Gone with the object, and when the test's process ends.
class ServerProcess {
 public:
  // Both of its streams are appended to the file `log`.
  explicit ServerProcess(std::string log) : log_(std::move(log)) {}
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() { stop(); }

  // Returns when it takes connections at `port`. Throws with its log where it does not start.
  void start(const std::vector<std::string>& words, std::uint16_t port,
             std::chrono::seconds limit = std::chrono::seconds(30));
  // Ends it (SIGKILL).
  void stop();
  // It answers no more, but its connections stay (SIGSTOP), until it goes on.
  void pause() const;
  void go_on() const;

 private:
  std::string log_;
  pid_t pid_ = -1;
};

}  // namespace flannel
