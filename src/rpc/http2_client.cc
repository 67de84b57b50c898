#include "rpc/http2_client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iterator>

namespace flannel {
namespace {

// Closes a transport that is not connected in time.
class ConnectLimit {
 public:
  ConnectLimit(const asio::any_io_executor& executor, const std::shared_ptr<Transport>& transport,
               std::chrono::seconds within)
      : timer_(executor, within) {
    timer_.async_wait([transport, exceeded = exceeded_](boost::system::error_code cancelled) {
      if (!cancelled) {
        *exceeded = true;
        transport->close();
      }
    });
  }
  bool exceeded() const { return *exceeded_; }

 private:
  std::shared_ptr<bool> exceeded_ = std::make_shared<bool>(false);
  asio::steady_timer timer_;
};

// Why there is no connection; empty where there is.
Task<std::string> connect(asio::any_io_executor executor, std::shared_ptr<Transport> transport,
                          Endpoint endpoint, Transport::Address address) {
  std::chrono::seconds within = kConnectWithin;
  auto limit = std::make_unique<ConnectLimit>(executor, transport, within);
  std::string failure;
  try {
    co_await transport->connect(endpoint, address);
    within = kShakeHandsWithin;
    limit = std::make_unique<ConnectLimit>(executor, transport, within);
    co_await transport->handshake(endpoint);
  } catch (const ConnectionError& error) {
    failure = limit->exceeded() ? fmt::format("connect to {}: no answer within {} s",
                                              transport->peer(), within.count())
                                : error.what();
  }
  co_return failure;
}

}  // namespace

struct Http2Client::State {
  asio::any_io_executor executor;
  std::vector<Endpoint> endpoints;
  TlsSource tls;
  Keepalive keepalive;
  Resolver resolver;
  std::size_t next = 0;                  // the endpoint to begin with
  std::vector<Transport::Address> last;  // of each endpoint, the address last connected to
  std::shared_ptr<Http2Connection> connection;
  std::shared_ptr<Transport> dialing;  // being connected
  bool busy = false;                   // dial() runs
  bool closed = false;                 // the client is gone
  std::string failure;                 // of the last dial()
  Signal changed;
};

Http2Client::Http2Client(asio::any_io_executor executor, std::vector<Endpoint> endpoints,
                         TlsSource tls, Keepalive keepalive, Resolver resolver)
    : state_(std::make_shared<State>()) {
  state_->executor = std::move(executor);
  state_->endpoints = std::move(endpoints);
  state_->tls = std::move(tls);
  state_->keepalive = keepalive;
  state_->resolver = std::move(resolver);
  state_->last.resize(state_->endpoints.size());
}

Http2Client::~Http2Client() {
  state_->closed = true;
  if (state_->dialing) {
    state_->dialing->close();
  }
  if (state_->connection) {
    state_->connection->close("the connection was closed by us");
  }
}

Task<Http2Stream> Http2Client::request(Http2Request request, Deadline deadline) {
  const std::shared_ptr<State> state = state_;
  if (!state->connection || !state->connection->usable()) {
    if (!state->busy) {
      state->busy = true;
      state->failure.clear();
      // On its own: it serves everyone who waits, even when the first of them is cancelled.
      asio::co_spawn(state->executor, dial(state), asio::detached);
    }
    while (state->busy) {
      if (std::chrono::steady_clock::now() >= deadline) {
        throw DeadlineExceeded(
            fmt::format("connect to {}: no answer in time", state->endpoints.front().to_text()));
      }
      co_await state->changed.wait(deadline);
    }
    if (!state->failure.empty()) {
      throw ConnectionError(state->failure);
    }
    if (!state->connection->usable()) {
      throw ConnectionError(fmt::format("{}: the server ended the connection at once",
                                        state->endpoints.front().to_text()));
    }
  }
  co_return state->connection->request(std::move(request));
}

void Http2Client::next_endpoint() {
  if (state_->connection) {
    state_->connection->retire();
  }
}

void Http2Client::host_changed() {
  if (state_->connection) {
    state_->connection->host_changed();
  }
}

Task<void> Http2Client::dial(std::shared_ptr<State> state) {
  std::string failures;
  bool connected = false;
  for (std::size_t tries = 0; tries < state->endpoints.size() && !connected; ++tries) {
    const std::size_t number = state->next;
    state->next = (number + 1) % state->endpoints.size();
    try {
      co_await dial_endpoint(state, number);
      connected = true;
    } catch (const std::exception& error) {  // shown to the callers when no endpoint is left
      failures += (failures.empty() ? "" : "; ") + std::string(error.what());
    }
    if (state->closed) {
      failures = "the connection was closed by us";
      break;
    }
  }
  state->failure = connected ? "" : failures;
  state->busy = false;
  state->changed.notify();
}

Task<void> Http2Client::dial_endpoint(std::shared_ptr<State> state, std::size_t number) {
  const Endpoint endpoint = state->endpoints[number];
  std::vector<Transport::Address> addresses = co_await state->resolver(endpoint);
  const auto last = std::ranges::find(addresses, state->last[number]);
  if (last != addresses.end()) {
    std::ranges::rotate(addresses, std::next(last));
  }
  const bool secure = endpoint.tls.value_or(false);
  std::string failure;
  for (const Transport::Address& address : addresses) {
    if (state->closed) {
      break;
    }
    const std::shared_ptr<Transport> transport =
        std::make_shared<Transport>(state->executor, secure ? state->tls() : TlsContext());
    state->dialing = transport;
    failure = co_await connect(state->executor, transport, endpoint, address);
    state->dialing.reset();
    if (failure.empty() && !state->closed) {
      state->last[number] = address;
      state->connection =
          Http2Connection::start(state->executor, transport, secure ? "https" : "http",
                                 endpoint.authority(), state->keepalive);
      co_return;
    }
  }
  throw ConnectionError(failure);
}

}  // namespace flannel
