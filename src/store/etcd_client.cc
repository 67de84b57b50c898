#include "store/etcd_client.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "rpc/bad_answer.h"
#include "store/etcd_stream.h"

namespace flannel {
namespace {

// etcd's words (api/v3rpc/rpctypes/error.go); the codes that go with them have changed.
constexpr std::string_view kTokenErrors[] = {
    "invalid auth token",  // expired, or made by a server that restarted
    "user name is empty",  // authentication was turned on since
    "revision of auth store is old"};
constexpr std::string_view kCompacted = "required revision has been compacted";
constexpr std::string_view kDenied = "permission denied";  // what a watch says of such a token
constexpr std::string_view kNotEnabled = "authentication is not enabled";
constexpr std::string_view kWrongPassword = "invalid user ID or password";

// Of a list. etcd's limit is a number of entries, ours one of bytes: so a first page takes in
// nearly every network whole, is left where its entries turn out to be long, and gives the size
// of the next ones.
constexpr std::int64_t kFirstPage = 10'000;
constexpr std::size_t kMostPage = 100'000;
constexpr std::size_t kPageBytes = 8 << 20;
constexpr std::size_t kMostAnswer = 1 << 20;  // of any other call
constexpr int kLists = 3;                     // begun anew after a compaction

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

struct EtcdClient::Page {
  etcd::ResponseHeader header;
  std::string last;         // the highest key of the range that came
  std::size_t entries = 0;  // of the range
  std::size_t bytes = 0;    // of the answer
  bool more = false;
};

Task<etcd::ResponseHeader> EtcdClient::range(etcd::RangeRequest request, EtcdList& list) {
  for (int left = kLists;; --left) {
    try {
      co_return co_await range_once(request, list);
    } catch (const GrpcError& error) {
      if (left == 0 || !std::string_view(error.what()).contains(kCompacted)) {
        throw;
      }
    }
  }
}

Task<etcd::ResponseHeader> EtcdClient::range_once(etcd::RangeRequest request, EtcdList& list) {
  list.start();
  request.limit = kFirstPage;
  std::optional<etcd::ResponseHeader> header;
  for (;;) {
    Page page;
    co_await read_page(request, list, page);
    if (!header) {
      header = page.header;
      request.revision = page.header.revision;
    }
    if (!page.more) {
      co_return *header;
    }
    if (page.entries == 0 || request.revision == 0) {
      throw BadAnswer("etcd sent a page of a list that leads no further");
    }
    request.key = page.last + '\0';
    request.limit = static_cast<std::int64_t>(
        std::clamp<std::size_t>(kPageBytes * page.entries / page.bytes, 1, kMostPage));
  }
}

// Stops where a page gets too long, however few entries it has: the next one begins there.
Task<void> EtcdClient::read_page(const etcd::RangeRequest& request, EtcdList& list, Page& page) {
  etcd::RangeDecoder decoder([&](etcd::KeyValue entry) {
    const bool wanted = request.range_end.empty()
                            ? entry.key == request.key
                            : request.key <= entry.key && entry.key < request.range_end;
    if (wanted) {
      page.last = std::max(page.last, entry.key);
      ++page.entries;
      list.add(std::move(entry));
    }
  });
  bool whole = true;
  co_await call("/etcdserverpb.KV/Range", encode(request), [&](std::string_view part) {
    decode_answer([&] { decoder.feed(part); });
    page.bytes += part.size();
    whole = page.bytes < kPageBytes || page.entries == 0 || decoder.response().header.revision == 0;
    return whole;
  });
  if (whole) {
    decode_answer([&] { decoder.finish(); });
    list.expect(decoder.response().count);
  }
  page.header = decoder.response().header;
  page.more = !whole || decoder.response().more;
}

Task<EtcdEntry> EtcdClient::get(std::string key) {
  struct One : EtcdList {
    std::optional<etcd::KeyValue> entry;
    void start() override { entry.reset(); }
    void add(etcd::KeyValue added) override { entry = std::move(added); }
  } one;
  const etcd::ResponseHeader header = co_await range({.key = std::move(key)}, one);
  co_return EtcdEntry{.entry = std::move(one.entry), .revision = header.revision};
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
  std::string answer;
  co_await call(std::move(path), std::move(message), [&answer](std::string_view part) {
    answer += part;
    return answer.size() <= kMostAnswer;
  });
  if (answer.size() > kMostAnswer) {
    throw GrpcError(GrpcCode::resource_exhausted, "etcd's answer is too long");
  }
  co_return answer;
}

Task<void> EtcdClient::call(std::string path, std::string message, GrpcSink sink) {
  for (bool again = false;; again = true) {
    if (!token_) {
      co_await authenticate();
    }
    try {
      const GrpcCall call{.path = path, .metadata = metadata()};
      co_await grpc_.unary(call, message, kEtcdCallTime, sink);
      co_return;
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
      throw StoreRefused(error.what());
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
