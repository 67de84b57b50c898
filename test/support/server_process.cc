#include "test/support/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <stdexcept>
#include <thread>
#include <utility>

namespace flannel {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool accepts(std::uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// Nothing where it is taken.
UniqueFd bound_to(std::uint16_t port, int type) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0
             ? std::move(fd)
             : UniqueFd();
}

// Both streams of the child go to `output`; it dies with us, unlike those of start_detached().
pid_t start_program(const std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  if (pid < 0) {
    throw std::runtime_error("fork failed");
  }
  return pid;
}

}  // namespace

ServerPort::ServerPort() {
  constexpr unsigned kFirst = 20'000;
  constexpr unsigned kCount = 10'000;  // below the NodePorts of Kubernetes
  std::random_device random;
  for (int left = 100; left > 0; --left) {
    number_ = static_cast<std::uint16_t>(kFirst + random() % kCount);
    claim_ = bound_to(number_, SOCK_DGRAM);
    if (claim_ && bound_to(number_, SOCK_STREAM)) {
      return;
    }
  }
  throw std::runtime_error("no free port on 127.0.0.1");
}

void ServerProcess::start(const std::vector<std::string>& words, std::uint16_t port,
                          std::chrono::seconds limit) {
  const auto fail = [&](const char* what) {
    throw std::runtime_error(
        fmt::format("{} {}: {}", words.front(), what, read_file(log_).value_or("")));
  };
  const UniqueFd output(::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = start_program(words, output.get());
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!accepts(port)) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      fail("does not start");
    }
    if (std::chrono::steady_clock::now() > end) {
      fail("takes no connections");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void ServerProcess::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

void ServerProcess::pause() const {
  ::kill(pid_, SIGSTOP);
}

void ServerProcess::go_on() const {
  ::kill(pid_, SIGCONT);
}

}  // namespace flannel
