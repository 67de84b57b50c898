#include "store/file_watch.h"

#include <sys/inotify.h>

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace flannel {

namespace {

int open_inotify() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {  // users have 128 of them unless the administrator says otherwise
    throw std::system_error(errno, std::generic_category(),
                            "inotify (see fs.inotify.max_user_instances)");
  }
  return fd;
}

}  // namespace

// Through a symbolic link, as SQLite goes.
FileWatch::FileWatch(const asio::any_io_executor& executor, const std::filesystem::path& path)
    : directory_(std::filesystem::canonical(path).parent_path()),
      name_(std::filesystem::canonical(path).filename()),
      events_(executor, open_inotify()),
      deadline_(executor) {
  constexpr std::uint32_t kEvents =
      IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF;
  if (::inotify_add_watch(events_.native_handle(), directory_.c_str(), kEvents) < 0) {
    throw std::system_error(errno, std::generic_category(), "watching " + directory_);
  }
}

// True where one of the events is about our file. Some of them at a time: a program that writes
// beside it without pause would keep us here.
bool FileWatch::read_some() {
  bool ours = false;
  alignas(inotify_event) std::array<char, 4096> buffer;
  const ssize_t got = ::read(events_.native_handle(), buffer.data(), buffer.size());
  for (ssize_t at = 0; at < got;) {
    const inotify_event* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
    const std::string_view name = event->len > 0 ? event->name : "";
    // The -shm file changes with every look at the database.
    ours = ours || event->len == 0 || (name.starts_with(name_) && !name.ends_with("-shm"));
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  return ours;
}

Task<void> FileWatch::changed_or(std::chrono::steady_clock::time_point deadline) {
  using namespace asio::experimental::awaitable_operators;
  deadline_.expires_at(deadline);
  while (!read_some() && std::chrono::steady_clock::now() < deadline) {
    co_await (events_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable) ||
              deadline_.async_wait(asio::use_awaitable));
  }
}

Task<Result<std::string>> next_text(std::string path, std::optional<std::string> last) {
  constexpr std::chrono::seconds kLookAgain{30};  // for changes that nothing tells of
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (;;) {
    std::optional<FileWatch> watch;
    try {
      watch.emplace(executor, path);
    } catch (const std::system_error&) {  // it is not there, or there are no more inotify instances
      watch.reset();
    }
    Result<std::string> text = read_file(path);  // behind the watch, which sees what comes after
    if (text ? *text != last : last.has_value()) {
      co_return text;
    }
    if (watch) {
      co_await watch->changed_or(std::chrono::steady_clock::now() + kLookAgain);
    } else {
      co_await sleep_for(kLookAgain / 10);
    }
  }
}

}  // namespace flannel
