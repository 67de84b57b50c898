#include "ctl/node_commands.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "base/printable.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"

namespace flannel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostPeers = 50;
constexpr std::chrono::milliseconds kBetweenLooks{100};

std::string socket_of(const CommandLine& line) {
  const char* variable = std::getenv(kSocketVariable);
  return line.get("socket", variable == nullptr ? "/run/flannel/flanneld.sock" : variable);
}

int complain(const std::string& text, int code = 1) {
  fmt::print(stderr, "flannelctl: {}\n", text);
  return code;
}

// Until when --wait waits. Error: no number of seconds.
Result<Clock::time_point> wait_limit(const CommandLine& line) {
  if (!line.has("wait")) {
    return Clock::now();
  }
  const std::string text = line.get("wait", "");
  if (text.empty()) {
    return Clock::time_point::max();
  }
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail("--wait={}: not a number of seconds", printable(text));
  }
  return Clock::now() + std::chrono::seconds(seconds);
}

}  // namespace

int node_status(const CommandLine& line) {
  const Result<Clock::time_point> limit = wait_limit(line);
  if (!limit) {
    return complain(limit.error().text, 2);
  }
  for (;;) {
    const Result<Page> page = get_page(socket_of(line), "/status");
    const Result<StatusSummary> summary =
        page ? summarize_status(page->body) : std::unexpected(page.error());
    const bool is_ready = summary && summary->state == "ready";
    if (!is_ready && Clock::now() < *limit) {
      std::this_thread::sleep_for(kBetweenLooks);
      continue;
    }
    if (!summary) {
      return complain(summary.error().text);
    }
    fmt::print("{}", line.has("json")
                         ? page->body + "\n"
                         : *status_page(page->body, line.has("all") ? SIZE_MAX : kMostPeers));
    return is_ready ? 0 : 1;
  }
}

int node_plan(const CommandLine& line) {
  const Result<Page> page = get_page(socket_of(line), "/plan");
  if (!page) {
    return complain(page.error().text);
  }
  std::istringstream lines(page->body);
  for (std::string text; std::getline(lines, text);) {
    fmt::print("{}\n", printable(text, SIZE_MAX));
  }
  return page->status == 200 ? 0 : 1;
}

}  // namespace flannel
