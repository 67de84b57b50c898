// Coroutines in tests: a loop to run them, and what they end with.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/task.h"

namespace flannel {

// Runs the loop until `done`, also where it has nothing to do for a while. False where it is not
// done within `limit`. The loop can be run again.
template <class Condition>
bool run_until(asio::io_context& loop, Condition done,
               std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  loop.restart();
  while (!done() && std::chrono::steady_clock::now() < end) {
    loop.run_one_for(std::chrono::milliseconds(10));
    loop.restart();  // it stops where there is nothing to do, and is to go on
  }
  return done();
}

// What a coroutine ended with, as the handler of co_spawn() gets it; "" for nothing thrown.
inline std::string failure_text(const std::exception_ptr& failure) {
  try {
    if (failure) {
      std::rethrow_exception(failure);
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

class LoopTest : public testing::Test {
 protected:
  // What the task returns or throws.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    std::exception_ptr error;
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr thrown, T value) {
      error = thrown;
      out = std::move(value);
    });
    run_until([&] { return out.has_value(); });
    if (error) {
      std::rethrow_exception(error);
    }
    return std::move(*out);
  }

  // What the task throws.
  template <class T>
  std::string error_of(Task<T> task) {
    try {
      run(std::move(task));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "no error";
  }

  // Throws when it takes longer than a minute.
  void run_until(const std::function<bool()>& done) {
    if (!flannel::run_until(loop, done, std::chrono::minutes(1))) {
      throw std::runtime_error("not done within a minute");
    }
  }

  asio::io_context loop;
};

}  // namespace flannel
