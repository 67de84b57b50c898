#include "store/etcd_client.h"

#include <algorithm>

namespace flannel {
namespace {

// etcd's words (api/v3rpc/rpctypes/error.go); the codes that go with them have changed.
constexpr std::string_view kTokenErrors[] = {
    "invalid auth token",  // expired, or made by a server that restarted
    "user name is empty",  // authentication was turned on since
    "revision of auth store is old"};
constexpr std::string_view kDenied = "permission denied";  // what a watch says of such a token
constexpr std::string_view kNotEnabled = "authentication is not enabled";
constexpr std::string_view kWrongPassword = "invalid user ID or password";

bool is_token_error(std::string_view error) {
  return std::ranges::any_of(kTokenErrors,
                             [error](std::string_view part) { return error.contains(part); });
}

bool is_endpoint_error(GrpcCode code) {
  return code == GrpcCode::unavailable || code == GrpcCode::deadline_exceeded;
}

}  // namespace

EtcdClient::EtcdClient(asio::any_io_executor executor, std::vector<Endpoint> endpoints,
                       TlsSource tls, EtcdCredentials credentials)
    : grpc_(std::move(executor), std::move(endpoints), std::move(tls)),
      credentials_(std::move(credentials)) {
  if (credentials_.username.empty()) {
    token_.emplace();
  }
}

Task<etcd::RangeResponse> EtcdClient::range(etcd::RangeRequest request) {
  const std::string answer = co_await call("/etcdserverpb.KV/Range", encode(request));
  co_return etcd::decode_range(answer);
}

Task<etcd::TxnResponse> EtcdClient::txn(etcd::TxnRequest request) {
  const std::string answer = co_await call("/etcdserverpb.KV/Txn", encode(request));
  co_return etcd::decode_txn(answer);
}

Task<etcd::LeaseGrantResponse> EtcdClient::grant_lease(std::int64_t id, std::chrono::seconds ttl) {
  const etcd::LeaseGrantRequest request{.ttl_seconds = ttl.count(), .id = id};
  const std::string answer = co_await call("/etcdserverpb.Lease/LeaseGrant", encode(request));
  etcd::LeaseGrantResponse granted = etcd::decode_lease_grant(answer);
  if (!granted.error.empty() || granted.id == 0) {
    throw GrpcError(GrpcCode::unknown, "etcd grants no lease: " + granted.error);
  }
  co_return granted;
}

Task<void> EtcdClient::revoke_lease(std::int64_t id) {
  const etcd::LeaseRevokeRequest request{.id = id};
  co_await call("/etcdserverpb.Lease/LeaseRevoke", encode(request));
}

Task<GrpcStream> EtcdClient::watch(etcd::WatchCreateRequest request) {
  if (!token_) {
    co_await authenticate();
  }
  GrpcCall call{.path = "/etcdserverpb.Watch/Watch", .metadata = metadata()};
  call.metadata.push_back({"hasleader", "true"});
  GrpcStream stream =
      co_await grpc_.stream(std::move(call), std::chrono::steady_clock::now() + kEtcdCallTime);
  stream.write(encode(request));
  co_return stream;
}

void EtcdClient::recover_from(const std::string& error) {
  const bool token = is_token_error(error) || error.contains(kDenied);
  if (token && !credentials_.username.empty()) {
    token_.reset();
  } else {
    grpc_.next_endpoint();
  }
}

Task<std::string> EtcdClient::call(std::string path, std::string message) {
  for (bool again = false;; again = true) {
    if (!token_) {
      co_await authenticate();
    }
    try {
      const GrpcCall call{.path = path, .metadata = metadata()};
      co_return co_await grpc_.unary(call, message, kEtcdCallTime);
    } catch (const GrpcError& error) {
      if (is_endpoint_error(error.code())) {
        grpc_.next_endpoint();
      }
      if (again || credentials_.username.empty() || !is_token_error(error.what())) {
        throw;
      }
    }
    token_.reset();
  }
}

Task<void> EtcdClient::authenticate() {
  const etcd::AuthenticateRequest request{.name = credentials_.username,
                                          .password = credentials_.password};
  try {
    const std::string answer = co_await grpc_.unary({.path = "/etcdserverpb.Auth/Authenticate"},
                                                    encode(request), kEtcdCallTime);
    token_ = etcd::decode_authenticate(answer).token;
  } catch (const GrpcError& error) {
    const std::string_view text = error.what();
    if (text.contains(kWrongPassword)) {
      throw EtcdCredentialsError(error.code(), error.what());
    }
    if (!text.contains(kNotEnabled)) {
      throw;
    }
    token_.emplace();
  }
}

Headers EtcdClient::metadata() const {
  if (!token_ || token_->empty()) {
    return {};
  }
  return {{"token", *token_}};
}

}  // namespace flannel
