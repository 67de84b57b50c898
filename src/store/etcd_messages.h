// The messages of etcd's v3 API that we use, as values and on the wire.
//
// Fields and numbers: api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto of etcd. Decoding checks
// every field's type and bounds, skips what it does not know, and throws std::runtime_error, naming
// the message, where the bytes are not protobuf.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flannel::etcd {

// In every response.
struct ResponseHeader {
  std::uint64_t cluster_id = 0;
  std::int64_t revision = 0;  // of the whole store, one higher with each change
  std::uint64_t raft_term = 0;
};

struct KeyValue {
  std::string key;
  std::string value;
  std::int64_t mod_revision = 0;
  std::int64_t lease = 0;  // 0: stays for ever
};

struct RangeRequest {
  std::string key;
  std::string range_end;  // exclusive; empty: `key` alone
};
struct RangeResponse {
  ResponseHeader header;
  std::vector<KeyValue> kvs;
};

// A condition of a transaction: the key's version or mod_revision is `number`. Version 0: the key
// does not exist.
struct Compare {
  enum class Target { version = 0, mod_revision = 2 } target = Target::version;
  std::string key;
  std::int64_t number = 0;
};
struct Operation {
  enum class Verb { put, remove } verb = Verb::put;
  std::string key;
  std::string value;       // of a put
  std::int64_t lease = 0;  // of a put
};
struct TxnRequest {
  std::vector<Compare> compares;   // all must hold
  std::vector<Operation> success;  // then these are done together
};
struct TxnResponse {
  ResponseHeader header;
  bool succeeded = false;
};

struct LeaseGrantRequest {
  std::int64_t ttl_seconds = 0;
  std::int64_t id = 0;  // 0: etcd chooses
};
struct LeaseGrantResponse {
  std::int64_t id = 0;
  std::int64_t ttl_seconds = 0;
  std::string error;
};
struct LeaseRevokeRequest {
  std::int64_t id = 0;
};

struct AuthenticateRequest {
  std::string name;
  std::string password;
};
struct AuthenticateResponse {
  std::string token;
};

struct WatchCreateRequest {
  std::string key;
  std::string range_end;
  std::int64_t start_revision = 0;
};
struct Event {
  bool deleted = false;  // else put
  KeyValue kv;           // key and mod_revision alone when deleted
};
struct WatchResponse {
  ResponseHeader header;
  bool created = false;
  bool canceled = false;
  std::int64_t compact_revision = 0;  // why it was canceled: older history is gone
  std::string cancel_reason;
  std::vector<Event> events;
};

std::string encode(const RangeRequest& request);
std::string encode(const TxnRequest& request);
std::string encode(const LeaseGrantRequest& request);
std::string encode(const LeaseRevokeRequest& request);
std::string encode(const AuthenticateRequest& request);
std::string encode(const WatchCreateRequest& request);  // inside a WatchRequest

RangeResponse decode_range(std::string_view bytes);
TxnResponse decode_txn(std::string_view bytes);
LeaseGrantResponse decode_lease_grant(std::string_view bytes);
AuthenticateResponse decode_authenticate(std::string_view bytes);
WatchResponse decode_watch(std::string_view bytes);

}  // namespace flannel::etcd
