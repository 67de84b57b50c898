#include "ctl/relay.h"

#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>

#include "base/task.h"
#include "rpc/endpoint.h"

namespace flannel {
namespace {

using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using Socket = asio::generic::stream_protocol::socket;

// Until either is at its end; then both are closed, which ends the copy in the other direction.
Task<void> copy(std::shared_ptr<Socket> from, std::shared_ptr<Socket> to) {
  std::array<char, 16384> chunk;
  boost::system::error_code ended;
  while (!ended) {
    const std::size_t got = co_await from->async_read_some(
        asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, ended));
    if (!ended) {
      co_await asio::async_write(*to, asio::buffer(chunk, got),
                                 asio::redirect_error(asio::use_awaitable, ended));
    }
  }
  from->close(ended);
  to->close(ended);
}

Task<void> carry(std::shared_ptr<Socket> near, std::string host, std::string port) {
  const asio::any_io_executor executor = near->get_executor();
  try {
    Tcp::resolver resolver(executor);
    const Tcp::resolver::results_type addresses =
        co_await resolver.async_resolve(host, port, asio::use_awaitable);
    Tcp::socket connected(executor);
    co_await asio::async_connect(connected, addresses, asio::use_awaitable);
    connected.set_option(Tcp::no_delay(true));
    const auto far = std::make_shared<Socket>(std::move(connected));
    asio::co_spawn(executor, copy(near, far), asio::detached);
    asio::co_spawn(executor, copy(far, near), asio::detached);
  } catch (const boost::system::system_error&) {
    // The far one cannot be reached: the near one sees a closed connection.
  }
}

Task<void> accept_forever(Local::acceptor acceptor, std::string host, std::string port) {
  for (;;) {
    Local::socket near = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(),
                   carry(std::make_shared<Socket>(std::move(near)), host, port), asio::detached);
  }
}

}  // namespace

Result<void> try_relay(const std::string& url) {
  const Result<Endpoint> far = parse_endpoint(url);
  if (!far) {
    return std::unexpected(far.error());
  }
  asio::io_context io;
  Tcp::socket socket(io);
  boost::system::error_code error;
  const Tcp::resolver::results_type addresses =
      Tcp::resolver(io).resolve(far->host, std::to_string(far->port), error);
  if (!error) {
    error = asio::error::timed_out;
    asio::async_connect(
        socket, addresses,
        [&](const boost::system::error_code& result, const Tcp::endpoint&) { error = result; });
    io.run_for(std::chrono::seconds(2));
  }
  return error ? fail("{}", error.message()) : Result<void>();
}

Result<void> run_relay(const std::string& socket, const std::string& url) {
  const Result<Endpoint> far = parse_endpoint(url);
  if (!far) {
    return std::unexpected(far.error());
  }
  asio::io_context io;
  try {
    ::unlink(socket.c_str());
    Local::acceptor acceptor(io, Local::endpoint(socket));
    asio::co_spawn(io, accept_forever(std::move(acceptor), far->host, std::to_string(far->port)),
                   asio::detached);
  } catch (const boost::system::system_error& error) {
    return fail("{}: {}", socket, error.code().message());
  }
  io.run();
  return {};
}

}  // namespace flannel
