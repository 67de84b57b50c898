// Coroutines on the one event loop.
//
// Rules that keep them readable and safe: a coroutine is a free or member function of an object
// that outlives it, takes values, and is never a capturing lambda (its captures die with the
// lambda, not with the coroutine).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

#include "base/backoff.h"

namespace flannel {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

Task<void> sleep_for(std::chrono::steady_clock::duration time);

// Ends the process: thrown where going on would be wrong, e.g. when another node holds our lease.
struct Fatal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs `body` again and again: the one place where broken I/O (an exception) is caught. The
// sentence is logged when it differs from the one before, then `body` starts over after the
// backoff; a body that ran for longer than the backoff's maximum starts it anew. `on_failure`
// gets the sentence instead of the log.
// Ends only by cancellation, or by Fatal.
Task<void> run_forever(std::string name, Backoff backoff, std::function<Task<void>()> body,
                       std::function<void(const std::string&)> on_failure = {});

}  // namespace flannel
