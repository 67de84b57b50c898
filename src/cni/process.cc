#include "cni/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/file.h"
#include "cni/error.h"

namespace flannel::cni {
namespace {

constexpr int kBusyTries = 50;
constexpr useconds_t kBusyWait = 20'000;  // microseconds

struct Pipe {
  UniqueFd read, write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw_error(Code::io_failure, "cannot make a pipe: {}", std::strerror(errno));
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A file in memory, so that no program can block us by not reading.
UniqueFd input_file(std::string_view text) {
  UniqueFd fd(::memfd_create("input", MFD_CLOEXEC));
  if (!fd || !write_all(fd.get(), text)) {
    throw_error(Code::io_failure, "cannot write a program's input: {}", std::strerror(errno));
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::vector<std::string> merged_environment(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool replaced = false;
    for (const auto& [name, value] : variables) {
      replaced = replaced || (text.starts_with(name) && text.substr(name.size()).starts_with('='));
    }
    if (!replaced) {
      out.emplace_back(text);
    }
  }
  for (const auto& [name, value] : variables) {
    out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) {
    out.push_back(text.data());
  }
  out.push_back(nullptr);
  return out;
}

// Reads both ends until they are closed.
void drain(Pipe& out, Pipe& err, ProcessOutput& result) {
  std::array<pollfd, 2> ends = {pollfd{out.read.get(), POLLIN, 0},
                                pollfd{err.read.get(), POLLIN, 0}};
  const std::array<std::string*, 2> texts = {&result.out, &result.err};
  std::array<char, 4096> chunk;
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) {
      throw_error(Code::io_failure, "cannot wait for a program: {}", std::strerror(errno));
    }
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) {
        continue;
      }
      const ssize_t got = ::read(ends[i].fd, chunk.data(), chunk.size());
      if (got > 0) {
        texts[i]->append(chunk.data(), static_cast<std::size_t>(got));
      } else {
        ends[i].fd = -1;
      }
    }
  }
}

int exit_status(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::optional<std::string> find_program(const std::string& name, const std::string& folders) {
  if (name.find('/') != std::string::npos) {
    return name;
  }
  std::string_view rest = folders;
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    std::string path = fmt::format("{}/{}", rest.substr(0, end), name);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) {
      return path;
    }
  }
  return std::nullopt;
}

ProcessOutput run_process(const std::string& path, const std::vector<std::string>& arguments,
                          const std::string& input,
                          const std::vector<std::pair<std::string, std::string>>& variables) {
  const UniqueFd in = input_file(input);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = merged_environment(variables);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  pid_t pid = -1;
  int error = ETXTBSY;
  for (int left = kBusyTries; error == ETXTBSY && left > 0; --left) {
    error = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, pointers(words).data(),
                          pointers(environment).data());
    if (error == ETXTBSY) {
      ::usleep(kBusyWait);
    }
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw_error(Code::io_failure, "cannot run {}: {}", path, std::strerror(error));
  }
  out.write = UniqueFd();
  err.write = UniqueFd();
  ProcessOutput result;
  drain(out, err, result);
  result.status = exit_status(pid);
  return result;
}

std::optional<pid_t> in_background(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child > 0) {
    return child;
  }
  if (child < 0) {
    work();
    return std::nullopt;
  }
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(null, fd);
  }
  work();
  ::_exit(0);
}

}  // namespace flannel::cni
