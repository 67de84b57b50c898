#include "rpc/http2_connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <vector>

namespace flannel {
namespace {

Deadline now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Http2Connection::Http2Connection(std::shared_ptr<Transport> transport, std::string scheme,
                                 std::string authority, Keepalive keepalive)
    : transport_(std::move(transport)),
      authority_(authority),
      keepalive_(keepalive),
      session_(std::move(scheme), std::move(authority)),
      quiet_since_(now()) {}

std::shared_ptr<Http2Connection> Http2Connection::start(asio::any_io_executor executor,
                                                        std::shared_ptr<Transport> transport,
                                                        std::string scheme, std::string authority,
                                                        Keepalive keepalive) {
  const std::shared_ptr<Http2Connection> self(new Http2Connection(
      std::move(transport), std::move(scheme), std::move(authority), keepalive));
  asio::co_spawn(executor, run_reader(self), asio::detached);
  asio::co_spawn(executor, run_writer(self), asio::detached);
  asio::co_spawn(executor, run_keepalive(self), asio::detached);
  return self;
}

Http2Stream Http2Connection::request(Http2Request request) {
  if (!usable()) {
    throw ConnectionError(fmt::format("{}: the connection takes no more requests", authority_));
  }
  const bool first = session_.open_exchanges() == 0;
  std::shared_ptr<Http2Exchange> exchange = session_.open(std::move(request));
  if (first) {
    quiet_since_ = now();
    keepalive_wanted_.notify();
  }
  wake_writer();
  return Http2Stream(shared_from_this(), std::move(exchange));
}

void Http2Connection::retire() {
  retired_ = true;
  close_if_done();
}

void Http2Connection::host_changed() {
  if (open_ && !transport_->has_local_address()) {
    close(fmt::format("{}: our address of the connection has left the host", authority_));
  }
}

void Http2Connection::close(const std::string& reason) {
  if (!open_) {
    return;
  }
  open_ = false;
  session_.fail(reason);
  transport_->close();
  write_wanted_.notify();
  keepalive_wanted_.notify();
}

void Http2Connection::wake_writer() {
  if (session_.wants_output()) {
    write_wanted_.notify();
  }
}

void Http2Connection::close_if_done() {
  const bool leaving = retired_ || session_.draining();
  if (session_.finished() || (leaving && session_.open_exchanges() == 0)) {
    close(fmt::format("{}: the server ended the connection", authority_));
  }
}

Task<void> Http2Connection::run_reader(std::shared_ptr<Http2Connection> self) {
  std::vector<char> buffer(16 << 10);
  try {
    while (self->open_) {
      const std::size_t count = co_await self->transport_->read_some(buffer);
      self->quiet_since_ = now();
      if (self->quiet_since_ - self->second_began_ >= std::chrono::seconds(1)) {
        self->second_began_ = self->quiet_since_;
        self->session_.new_second();
      }
      if (std::exchange(self->pinged_, false)) {
        self->keepalive_wanted_.notify();
      }
      self->session_.receive({buffer.data(), count});
      self->wake_writer();
      self->close_if_done();
    }
  } catch (const std::exception& error) {  // belongs to the streams: each of their readers sees it
    self->close(error.what());
  }
}

Task<void> Http2Connection::run_writer(std::shared_ptr<Http2Connection> self) {
  try {
    while (self->open_) {
      const std::string bytes = self->session_.output();
      if (bytes.empty()) {
        self->close_if_done();
        co_await self->write_wanted_.wait();
      } else {
        co_await self->transport_->write(bytes);
      }
    }
  } catch (const std::exception& error) {
    self->close(error.what());
  }
}

Task<void> Http2Connection::run_keepalive(std::shared_ptr<Http2Connection> self) {
  while (self->open_) {
    if (self->session_.open_exchanges() == 0) {
      co_await self->keepalive_wanted_.wait();
      continue;
    }
    const Deadline due = self->quiet_since_ + self->keepalive_.ping_after;
    if (now() < due) {
      co_await self->keepalive_wanted_.wait(due);
      continue;
    }
    self->session_.ping();
    self->pinged_ = true;
    self->wake_writer();
    const Deadline limit = now() + self->keepalive_.pong_within;
    while (self->open_ && self->pinged_ && now() < limit) {
      co_await self->keepalive_wanted_.wait(limit);
    }
    if (self->pinged_) {
      self->close(
          fmt::format("{}: no sign of life for {} ms", self->authority_,
                      (self->keepalive_.ping_after + self->keepalive_.pong_within).count()));
    }
  }
}

}  // namespace flannel
