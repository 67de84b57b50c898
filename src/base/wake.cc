#include "base/wake.h"

#include <boost/asio/redirect_error.hpp>

namespace flannel {

void Wake::set() {
  set_ = true;
  timer_.cancel();
}

Task<void> Wake::wait(Deadline deadline) {
  if (!set_) {
    timer_.expires_at(deadline);
    boost::system::error_code woken;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  set_ = false;
}

}  // namespace flannel
