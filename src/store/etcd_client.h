// etcd's v3 API over one connection: calls, the watch stream, and who we are.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rpc/grpc.h"
#include "store/etcd_messages.h"
#include "store/store.h"

namespace flannel {

// Whom we say we are; an empty name: nobody.
struct EtcdCredentials {
  std::string username;
  std::string password;
};

// What takes the entries of a list as they come.
class EtcdList {
 public:
  virtual ~EtcdList() = default;
  // The list begins, or begins anew: the history it was of was compacted meanwhile.
  virtual void start() = 0;
  // So many entries there are in all, says etcd.
  virtual void expect(std::uint64_t) {}
  virtual void add(etcd::KeyValue entry) = 0;
};

// A key as it was at `revision`.
struct EtcdEntry {
  std::optional<etcd::KeyValue> entry;
  std::int64_t revision = 0;
};

// No answer to a call within this time is a failure.
inline constexpr std::chrono::seconds kEtcdCallTime{10};

// Calls throw GrpcError with etcd's words, ConnectionError, BadAnswer, and StoreRefused where the
// server does not know this user and password. A token that expired is fetched anew without the
// caller noticing; a server that has authentication turned off is used without.
class EtcdClient {
 public:
  EtcdClient(asio::any_io_executor executor, std::vector<Endpoint> endpoints, TlsSource tls,
             EtcdCredentials credentials);

  // Lists into `list`, in pages that are as the store was at one revision, which is the header's.
  Task<etcd::ResponseHeader> range(etcd::RangeRequest request, EtcdList& list);
  // One key; nothing where it is not there.
  Task<EtcdEntry> get(std::string key);
  Task<etcd::TxnResponse> txn(etcd::TxnRequest request);
  Task<etcd::LeaseGrantResponse> grant_lease(std::int64_t id, std::chrono::seconds ttl);
  Task<void> revoke_lease(std::int64_t id);

  // A stream of etcd::WatchResponse messages; dropping it ends the watch. Fails by itself when the
  // member loses its leader.
  Task<GrpcStream> watch(etcd::WatchCreateRequest request);

  // After a watch failed: the next call uses a fresh token where that may be why, and otherwise
  // the next endpoint.
  void recover_from(const std::string& error);
  // As LeaseStore's.
  void host_changed() { grpc_.host_changed(); }

 private:
  struct Page;

  Task<etcd::ResponseHeader> range_once(etcd::RangeRequest request, EtcdList& list);
  Task<void> read_page(const etcd::RangeRequest& request, EtcdList& list, Page& page);
  Task<std::string> call(std::string path, std::string message);
  Task<void> call(std::string path, std::string message, GrpcSink sink);
  Task<void> authenticate();
  Headers metadata() const;

  GrpcClient grpc_;
  EtcdCredentials credentials_;
  // Empty: the server has authentication turned off. Nothing: not asked yet, or expired.
  std::optional<std::string> token_;
};

}  // namespace flannel
