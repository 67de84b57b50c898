// The API server of Kubernetes, over one connection.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "kube/api_access.h"
#include "kube/api_error.h"
#include "rpc/http2_client.h"

namespace flannel {

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // with the query: `/api/v1/nodes?watch=true`
  std::string accept = "application/json";
  std::string content_type;  // of `body`; empty: there is none
  std::string body;
  // The answer may come compressed, which its `content-encoding` then says; the reader unpacks it.
  bool gzip = false;
};

// A longer answer to call() is refused.
inline constexpr std::size_t kMostApiAnswer = 8 << 20;

// A request that is to wait for longer before it may be sent fails with what the server said last.
inline constexpr std::chrono::seconds kMostPostponed{10};

// How long nothing is asked after a refusal that had this Retry-After, or none. It is twice as long
// as it was `before` (zero for the first time), up to half a minute, or to four times what the
// server asks for where that is less.
std::chrono::seconds postponement(std::optional<std::chrono::seconds> retry_after,
                                  std::chrono::seconds before);

// Both kinds of requests throw ApiError, ConnectionError (also where nothing can be asked, since
// we cannot say who we are) and DeadlineExceeded.
//
// What needs nobody's attention is done here:
// - After a 401 the request is sent once more, with credentials that are read anew.
// - Where the server wants to be asked later (429, Retry-After), nothing is sent before then. A
//   request that would have to wait for longer than kMostPostponed, or beyond its deadline, fails
//   with what the server said.
// - The same goes for a server that still says 401, until there are other credentials.
// - A request that the server did not look at is sent again.
// - After a 5xx the connection is given up, so that the next request may reach another server.
class ApiClient {
 public:
  ApiClient(asio::any_io_executor executor, std::unique_ptr<ApiAccess> access);

  // For people: `Kubernetes https://10.96.0.1:443`.
  std::string name() const { return "Kubernetes " + access_->server(); }

  // Sends the request and waits for the answer's headers, whose status is 2xx. Reading from the
  // stream throws what Http2Stream does; dropping it ends the request.
  Task<Http2Stream> open(ApiRequest request, Deadline deadline);
  // The whole body of the answer, never compressed.
  Task<std::string> call(ApiRequest request, Deadline deadline);

  // As LeaseStore::host_changed().
  void host_changed();

 private:
  struct Attempt;  // what an attempt came to

  Task<Attempt> attempt(ApiRequest request, bool rejected, Deadline deadline);
  Task<void> refresh(bool rejected);
  void take(ApiTarget target);
  Task<void> wait_out(Deadline ask_by);
  Task<bool> is_postponed();
  void postpone(const ApiError& refusal);

  asio::any_io_executor executor_;
  std::unique_ptr<ApiAccess> access_;
  std::optional<ApiTarget> target_;  // the last that could be used
  std::string trouble_;              // why there is none that is newer
  TlsContext tls_;                   // of `target_`
  std::unique_ptr<Http2Client> http2_;
  // Why the server is to be asked later, and when; nothing once it has served us.
  std::optional<ApiError> refusal_;
  Deadline ask_at_;
  std::chrono::seconds last_wait_{};
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace flannel
