#include "base/signal.h"

#include <boost/asio/redirect_error.hpp>

namespace flannel {
namespace {

// Keeps a timer in the list for as long as its coroutine's frame lives.
class Registration {
 public:
  Registration(std::shared_ptr<std::vector<asio::steady_timer*>> list, asio::steady_timer* timer)
      : list_(std::move(list)), timer_(timer) {
    list_->push_back(timer_);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { std::erase(*list_, timer_); }

 private:
  std::shared_ptr<std::vector<asio::steady_timer*>> list_;
  asio::steady_timer* timer_;
};

}  // namespace

void Signal::notify() {
  for (asio::steady_timer* timer : *waiting_) {
    timer->cancel();
  }
}

Task<void> Signal::wait(Deadline deadline) {
  const std::shared_ptr<Waiting> waiting = waiting_;
  asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
  const Registration registration(waiting, &timer);
  boost::system::error_code woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

}  // namespace flannel
