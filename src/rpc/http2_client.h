// The one HTTP/2 connection to a service that has several addresses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rpc/endpoint.h"
#include "rpc/http2_connection.h"

namespace flannel {

// A new connection is made when a request needs one, by trying the endpoints in turn, from the one
// after the last used: a server that went silent is asked last. So are the addresses of an
// endpoint, as those of several servers with one name. There is no waiting and no second round: the
// caller has the Backoff.
//
// A host that is away swallows what we send it; the kernel would ask again at growing intervals,
// so a new attempt each second notices its return sooner. Who took the connection and has many
// handshakes to do gets more time.
inline constexpr std::chrono::seconds kConnectWithin{1};
inline constexpr std::chrono::seconds kShakeHandsWithin{10};

class Http2Client {
 public:
  using Resolver = std::function<Task<std::vector<Transport::Address>>(Endpoint)>;

  // At least one endpoint. Those whose `tls` is true are spoken to in TLS, which `tls` is for; it
  // may be empty where there are none.
  Http2Client(asio::any_io_executor executor, std::vector<Endpoint> endpoints, TlsSource tls,
              Keepalive keepalive = {}, Resolver resolver = resolve);
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;
  // Ends the connection and all its streams.
  ~Http2Client();

  // Sends a request, connecting first where needed. Throws ConnectionError with what each endpoint
  // said, DeadlineExceeded.
  Task<Http2Stream> request(Http2Request request, Deadline deadline = kNever);

  // The server answers, but cannot serve us: the next request goes to the next endpoint. Streams
  // under way go on.
  void next_endpoint();
  // The host's addresses changed: where that of the connection is gone, the connection ends at
  // once, instead of by its keepalive.
  void host_changed();

 private:
  struct State;  // shared with the coroutine that connects

  static Task<void> dial(std::shared_ptr<State> state);
  static Task<void> dial_endpoint(std::shared_ptr<State> state, std::size_t number);

  std::shared_ptr<State> state_;
};

}  // namespace flannel
