#include "base/task.h"

#include <boost/system/system_error.hpp>

#include "base/log.h"

namespace flannel {

Task<void> sleep_for(std::chrono::steady_clock::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

Task<void> run_forever(std::string name, Backoff backoff, std::function<Task<void>()> body,
                       std::function<void(const std::string&)> on_failure) {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  std::string last;
  for (;;) {
    const auto started = std::chrono::steady_clock::now();
    std::string failure;
    try {
      co_await body();
    } catch (const Fatal&) {
      throw;
    } catch (const std::exception& error) {
      if (state.cancelled() != asio::cancellation_type::none) {
        throw;
      }
      failure = error.what();
    }
    if (std::chrono::steady_clock::now() - started > std::chrono::seconds(30)) {
      backoff.reset();
      last.clear();
    }
    if (!failure.empty() && on_failure) {
      on_failure(failure);
    } else if (!failure.empty() && failure != last) {
      log_warning("{}: {}", name, failure);
      last = failure;
    }
    co_await sleep_for(backoff.next());
  }
}

}  // namespace flannel
