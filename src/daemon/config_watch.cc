#include "daemon/config_watch.h"

#include <utility>

#include "base/log.h"

namespace flannel {

ConfigWatch::ConfigWatch(LeaseStore& store, std::string taken_up)
    : store_(store), seen_(std::move(taken_up)) {}

Task<void> ConfigWatch::follow() {
  for (;;) {
    const Result<std::string> text = co_await store_.next_config(seen_);
    const auto began = RateLimit::Clock::now();
    look(text);
    const auto now = RateLimit::Clock::now();
    limit_.charge(began, now);
    if (limit_.next() > now) {
      co_await sleep_for(limit_.next() - now);
    }
  }
}

void ConfigWatch::look(const Result<std::string>& text) {
  const std::optional<std::string> now = text ? std::optional(*text) : std::nullopt;
  if (now == seen_) {
    return;
  }
  seen_ = now;
  const Result<void> taken = text ? on_change(*text) : std::unexpected(text.error());
  trouble_ =
      taken ? ""
            : "the network configuration has changed, and is not taken up: " + taken.error().text;
  log_trouble(!taken, taken ? "the network configuration has changed, and is taken up" : trouble_);
}

}  // namespace flannel
