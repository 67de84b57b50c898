// A program that the event loop waits for, beside everything else.
#pragma once

#include <fcntl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>
#include <utility>

#include "base/task.h"
#include "process/process.h"

namespace flannel {

// Until it has ended. Throws ProcessError; killed where it passes a limit, or this is cancelled.
inline Task<ProcessOutput> run_program(Program::Command command) {
  Program program(command);
  asio::posix::stream_descriptor ready(co_await asio::this_coro::executor,
                                       ::fcntl(program.fd(), F_DUPFD_CLOEXEC, 0));
  for (;;) {
    if (std::optional<ProcessOutput> output = program.poll()) {
      co_return std::move(*output);
    }
    co_await ready.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  }
}

}  // namespace flannel
