#include "process/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/file.h"

namespace flannel {
namespace {

constexpr int kBusyTries = 50;
constexpr useconds_t kBusyWait = 20'000;  // microseconds
constexpr std::chrono::milliseconds kAskAgain{10};

struct Pipe {
  UniqueFd read, write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw ProcessError(ProcessError::Kind::io,
                       fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A file in memory, so that no program can block us by not reading.
UniqueFd input_file(std::string_view text) {
  UniqueFd fd(::memfd_create("input", MFD_CLOEXEC));
  if (!fd || !write_all(fd.get(), text)) {
    throw ProcessError(ProcessError::Kind::io,
                       fmt::format("cannot write a program's input: {}", std::strerror(errno)));
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

// What the new process does, in the memory of its parent that waits meanwhile (CLONE_VFORK): system
// calls alone. posix_spawn has no way to ask for a death signal.
struct Launch {
  const char* path;
  char* const* words;
  char* const* environment;
  std::array<int, 3> streams;
  pid_t parent;
  int error = 0;
};

int launch(void* argument) {
  Launch& launch = *static_cast<Launch*>(argument);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) {
    return 127;  // which has ended before that
  }
  for (int i = 0; i < 3; ++i) {
    ::dup2(launch.streams[static_cast<std::size_t>(i)], i);
  }
  ::close_range(3, ~0U, 0);  // where there is none (before Linux 5.9), what has O_CLOEXEC
  ::execve(launch.path, launch.words, launch.environment);
  launch.error = errno;
  return 127;
}

// Adds what is there to read, without waiting; closes the pipe at its end.
bool read_some(const pollfd& ready, UniqueFd& pipe, std::string& text) {
  if (ready.revents == 0) {
    return false;
  }
  std::array<char, 4096> chunk;
  const ssize_t got = ::read(pipe.get(), chunk.data(), chunk.size());
  if (got <= 0) {
    pipe = UniqueFd();
    return false;
  }
  text.append(chunk.data(), static_cast<std::size_t>(got));
  return true;
}

// Readable at `deadline`, or at short intervals where the end of a program has to be polled for.
UniqueFd make_timer(std::chrono::steady_clock::time_point deadline, bool ask) {
  using std::chrono::nanoseconds;
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const auto spec = [](nanoseconds time) {
    return timespec{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
  };
  const nanoseconds left = deadline - std::chrono::steady_clock::now();
  const itimerspec when{
      .it_interval = spec(kAskAgain),
      .it_value = spec(ask ? kAskAgain : std::max(left, nanoseconds(1))),
  };
  ::timerfd_settime(timer.get(), 0, &when, nullptr);
  return timer;
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
    if (std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return std::nullopt;
}

class Program::Child {
 public:
  explicit Child(Launch& what) {
    alignas(16) std::array<char, 16384> stack;
    int fd = -1;
    pid_ = ::clone(launch, stack.data() + stack.size(),
                   CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &what, &fd);
    if (pid_ < 0) {
      what.error = errno;
    }
    end_ = UniqueFd(fd);  // none before Linux 5.2
    if (what.error != 0) {
      (void)has_ended(0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!ended_ && pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      (void)has_ended(0);
    }
  }

  // Readable when it has ended; -1 where that has to be polled for.
  int end() const { return end_.get(); }
  // `options` as of waitpid.
  bool has_ended(int options) {
    while (!ended_ && pid_ > 0) {
      const pid_t found = ::waitpid(pid_, &status_, options);
      ended_ = found == pid_;
      if (found >= 0 || errno != EINTR) {
        break;
      }
    }
    return ended_;
  }
  bool ended() const { return ended_; }
  int status() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_); }

  UniqueFd out, err;  // what it prints, to be read
  ProcessOutput result;
  bool more = false;  // the last look found something to read
  UniqueFd timer, all;

 private:
  pid_t pid_ = -1;
  UniqueFd end_;
  int status_ = 0;
  bool ended_ = false;
};

Program::Program(Program&&) noexcept = default;
Program::~Program() = default;

Program::Program(const Command& command)
    : path_(command.path),
      limits_(command.limits),
      deadline_(std::chrono::steady_clock::now() + command.limits.time) {
  const UniqueFd in = input_file(command.input);
  Pipe out = make_pipe();
  Pipe err = command.one_output ? Pipe() : make_pipe();
  std::vector<std::string> words = {path_};
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment = merged_environment(command.variables);
  const std::vector<char*> word_pointers = pointers(words);
  const std::vector<char*> environment_pointers = pointers(environment);
  Launch what{.path = path_.c_str(),
              .words = word_pointers.data(),
              .environment = environment_pointers.data(),
              .streams = {in.get(), out.write.get(), (err.write ? err : out).write.get()},
              .parent = ::getpid(),
              .error = ETXTBSY};
  for (int left = kBusyTries; what.error == ETXTBSY && left > 0; --left) {
    if (child_) {
      ::usleep(kBusyWait);
    }
    what.error = 0;
    child_ = std::make_unique<Child>(what);
  }
  if (what.error != 0) {
    throw ProcessError(ProcessError::Kind::not_started,
                       fmt::format("cannot run {}: {}", path_, std::strerror(what.error)));
  }
  child_->out = std::move(out.read);
  child_->err = std::move(err.read);
}

// Waits until there is something to do, at most so long, and does it.
std::optional<ProcessOutput> Program::step(std::chrono::milliseconds most) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(deadline_ - std::chrono::steady_clock::now());
  most = child_->end() < 0 ? std::min(most, kAskAgain) : most;
  const auto wait = child_->ended() ? milliseconds(0) : std::clamp(left, milliseconds(0), most);
  std::array<pollfd, 3> ends = {pollfd{child_->out.get(), POLLIN, 0},
                                pollfd{child_->err.get(), POLLIN, 0},
                                pollfd{child_->end(), POLLIN, 0}};
  if (::poll(ends.data(), ends.size(), static_cast<int>(wait.count())) < 0 && errno != EINTR) {
    throw ProcessError(ProcessError::Kind::io,
                       fmt::format("cannot wait for a program: {}", std::strerror(errno)));
  }
  ProcessOutput& result = child_->result;
  const bool more_out = read_some(ends[0], child_->out, result.out);
  const bool more_err = read_some(ends[1], child_->err, result.err);
  child_->more = more_out || more_err;
  if (std::max(result.out.size(), result.err.size()) > limits_.output) {
    throw ProcessError(ProcessError::Kind::too_much_output,
                       fmt::format("{} wrote more than {} bytes", path_, limits_.output));
  }
  if (child_->ended() && !child_->more) {
    result.status = child_->status();
    return std::move(result);
  }
  if (!child_->has_ended(WNOHANG) && left <= milliseconds(0)) {
    throw ProcessError(
        ProcessError::Kind::too_slow,
        fmt::format("{} did not end within {} seconds", path_, limits_.time.count() / 1000));
  }
  return std::nullopt;
}

ProcessOutput Program::wait() {
  for (;;) {
    if (std::optional<ProcessOutput> result = step(limits_.time)) {
      return std::move(*result);
    }
  }
}

std::optional<ProcessOutput> Program::poll() {
  std::uint64_t times = 0;
  (void)!::read(child_->timer.get(), &times, sizeof times);
  for (;;) {
    std::optional<ProcessOutput> result = step(std::chrono::milliseconds(0));
    if (result || !(child_->ended() || child_->more)) {
      return result;
    }
  }
}

int Program::fd() {
  if (!child_->all) {
    child_->all = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    child_->timer = make_timer(deadline_, child_->end() < 0);
    for (const int each :
         {child_->out.get(), child_->err.get(), child_->end(), child_->timer.get()}) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = each}};
      ::epoll_ctl(child_->all.get(), EPOLL_CTL_ADD, each, &event);
    }
  }
  return child_->all.get();
}

ProcessOutput run_process(const std::string& path, const std::vector<std::string>& arguments,
                          const std::string& input,
                          const std::vector<std::pair<std::string, std::string>>& variables,
                          const ProcessLimits& limits) {
  return Program({.path = path,
                  .arguments = arguments,
                  .input = input,
                  .variables = variables,
                  .limits = limits})
      .wait();
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

}  // namespace flannel
