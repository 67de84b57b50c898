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
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t lease = 0;  // 0: stays for ever
  bool cut = false;        // too long: what is missing was not received
};

struct RangeRequest {
  std::string key;
  std::string range_end;      // exclusive; empty: `key` alone
  std::int64_t limit = 0;     // of entries; 0: all
  std::int64_t revision = 0;  // as the store was then; 0: as it is
};

// A condition of a transaction: no key from `key` up to `range_end` (empty: `key` alone) has been
// written since `revision`. Keys that are not there were not.
struct Unchanged {
  std::string key;
  std::string range_end;
  std::int64_t revision = 0;
};
struct Operation {
  enum class Verb { put, remove } verb = Verb::put;
  std::string key;
  std::string value;       // of a put
  std::int64_t lease = 0;  // of a put
};
struct TxnRequest {
  std::vector<Unchanged> conditions;  // all must hold
  std::vector<Operation> success;     // then these are done together
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
  std::string error;  // printable()
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
  // What the answers have as theirs; 0: etcd chooses, and the first of a stream is 0.
  std::int64_t watch_id = 0;
  // A quiet watch is told how far the store is.
  bool progress = true;
};
struct Event {
  bool deleted = false;  // else put
  KeyValue kv;           // key and mod_revision alone when deleted
};
struct RangeResponse {  // but for its entries
  static constexpr const char* kName = "RangeResponse";
  ResponseHeader header;
  bool more = false;        // there are entries behind the last one
  std::uint64_t count = 0;  // of all entries in the range
};
struct WatchResponse {  // but for its events
  static constexpr const char* kName = "WatchResponse";
  ResponseHeader header;
  std::int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;
  std::int64_t compact_revision = 0;  // why it was canceled: older history is gone
  std::string cancel_reason;          // printable()
};

std::string encode(const RangeRequest& request);
std::string encode(const TxnRequest& request);
std::string encode(const LeaseGrantRequest& request);
std::string encode(const LeaseRevokeRequest& request);
std::string encode(const AuthenticateRequest& request);
std::string encode(const WatchCreateRequest& request);  // inside a WatchRequest

// Parts of the long answers, which etcd_stream.h takes apart; `cut`: the bytes are not all there.
ResponseHeader decode_header(std::string_view bytes);
KeyValue decode_key_value(std::string_view bytes, bool cut);
Event decode_event(std::string_view bytes, bool cut);
TxnResponse decode_txn(std::string_view bytes);
LeaseGrantResponse decode_lease_grant(std::string_view bytes);
AuthenticateResponse decode_authenticate(std::string_view bytes);

}  // namespace flannel::etcd
