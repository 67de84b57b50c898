// A step that is tried until it succeeds.
#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/backoff.h"
#include "base/result.h"
#include "base/task.h"
#include "store/store.h"

namespace flannel {

// Repeats `attempt` until it gives a value, `backoff` apart. `on_waiting` gets `what`, a colon and
// why there is none yet after each attempt, and an empty text in the end. Throws Fatal where the
// attempt does.
template <class T>
Task<T> wait_for(Backoff backoff, std::string what, std::function<Task<Result<T>>()> attempt,
                 std::function<void(const std::string&)> on_waiting) {
  for (;;) {
    std::string failure;
    try {
      Result<T> result = co_await attempt();
      if (result) {
        on_waiting("");
        if constexpr (std::is_void_v<T>) {
          co_return;
        } else {
          co_return std::move(*result);
        }
      }
      failure = result.error().text;
    } catch (const Fatal&) {
      throw;
    } catch (const std::runtime_error& error) {  // the store or the kernel cannot be reached
      failure = error.what();
    }
    on_waiting(fmt::format("{}: {}", what, failure));
    co_await sleep_for(backoff.next());
  }
}

// `attempt`, for a step of the start: where it throws StoreRefused, waiting does not help.
template <class T>
Task<Result<T>> end_if_refused(std::function<Task<Result<T>>()> attempt) {
  try {
    co_return co_await attempt();
  } catch (const StoreRefused& error) {
    throw Fatal(fmt::format("Failed to create SubnetManager: {}", error.what()));
  }
}

// The answer of an attempt that needs no waiting.
inline Task<Result<void>> done(Result<void> result) {
  co_return result;
}

}  // namespace flannel
