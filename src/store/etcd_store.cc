#include "store/etcd_store.h"

#include <algorithm>
#include <random>
#include <ranges>

#include "base/log.h"
#include "store/etcd_client.h"
#include "store/etcd_lease.h"
#include "store/etcd_watch.h"

namespace flannel {
namespace {

// api/v3rpc/rpctypes/error.go
constexpr std::string_view kLeaseNotFound = "requested lease not found";
constexpr int kTries = 10;                 // against other nodes that are faster
constexpr std::size_t kMostDiscards = 50;  // in one transaction: etcd takes 128 operations

// A node is told by its addresses of the families it has a subnet of.
bool same_node(const LeaseKey& key, const LeaseAttrs& a, const LeaseAttrs& b) {
  return (!key.v4 || a.public_ip == b.public_ip) && (!key.v6 || a.public_ipv6 == b.public_ipv6);
}

std::string address_text(const LeaseKey& key, const LeaseAttrs& attrs) {
  const std::optional<IpAddr>& address = key.v4 ? attrs.public_ip : attrs.public_ipv6;
  return address ? address->to_text() : "a node without an address";
}

std::string subnets_text(const LeaseKey& key) {
  if (key.v4 && key.v6) {
    return key.v4->to_text() + ", " + key.v6->to_text();
  }
  return key.v4 ? key.v4->to_text() : key.v6 ? key.v6->to_text() : "no subnet";
}

std::string to_text(const std::vector<Endpoint>& endpoints) {
  std::string out;
  for (const Endpoint& endpoint : endpoints) {
    out += (out.empty() ? "" : ",") + endpoint.to_text();
  }
  return out;
}

// The condition that a key is still as `entries` has it: of that revision, or absent.
etcd::Compare unchanged(const std::string& key, const std::vector<etcd::KeyValue>& entries) {
  const auto found = std::ranges::find(entries, key, &etcd::KeyValue::key);
  if (found == entries.end()) {
    return {.target = etcd::Compare::Target::version, .key = key, .number = 0};
  }
  return {.target = etcd::Compare::Target::mod_revision, .key = key, .number = found->mod_revision};
}

// A transaction that removes our own entries of another configuration, as long as they have not
// changed.
etcd::TxnRequest discard_own(const EtcdLayout& layout, const std::vector<LeaseKey>& keys,
                             const std::vector<etcd::KeyValue>& entries) {
  etcd::TxnRequest txn;
  for (const LeaseKey& key : keys | std::views::take(kMostDiscards)) {
    log_info("Found lease ({}) not compatible with current config, deleting", subnets_text(key));
    const std::string text = layout.lease_key(key);
    txn.compares.push_back(unchanged(text, entries));
    txn.success.push_back({.verb = etcd::Operation::Verb::remove, .key = text});
  }
  return txn;
}

// Whose subnets are not free: all leases, and entries of which only the key can be read.
std::vector<Lease> taken_subnets(const std::vector<etcd::KeyValue>& entries) {
  LeaseUpdate known = read_snapshot(entries);
  for (const LeaseKey& key : known.unreadable) {
    known.leases.push_back({key, {}, std::nullopt});
  }
  return std::move(known.leases);
}

// Nodes begin with different endpoints, so that the members of a cluster share their load.
std::vector<Endpoint> in_random_order(std::vector<Endpoint> endpoints) {
  std::ranges::shuffle(endpoints, std::minstd_rand(std::random_device()()));
  return endpoints;
}

class EtcdStore : public LeaseStore {
 public:
  EtcdStore(asio::any_io_executor executor, std::vector<Endpoint> endpoints, TlsSource tls,
            EtcdOptions options)
      : name_("etcd " + to_text(endpoints)),
        layout_(std::move(options.prefix)),
        on_state_(std::move(options.on_state)),
        client_(std::move(executor), in_random_order(std::move(endpoints)), std::move(tls),
                {std::move(options.username), std::move(options.password)}) {
    name_ += " " + layout_.prefix();
  }

  std::string name() const override { return name_; }
  Task<std::optional<std::string>> config() override;
  Task<Result<Lease>> acquire(AcquireRequest request) override;
  Task<Result<Lease>> renew(Lease lease) override;
  std::unique_ptr<LeaseWatch> watch() override {
    return std::make_unique<EtcdWatch>(client_, layout_, own_, on_state_);
  }

 private:
  // Adds the put of `lease` to the transaction and does it, `permanent` or with our etcd lease.
  // Nothing where a condition did not hold: another node was faster.
  Task<std::optional<Lease>> write(etcd::TxnRequest txn, Lease lease, bool permanent);
  Task<bool> commit(etcd::TxnRequest txn);

  std::string name_;
  EtcdLayout layout_;
  EtcdWatch::OnState on_state_;
  EtcdClient client_;
  EtcdLease etcd_lease_{client_};
  OwnKey own_;
};

Task<std::optional<std::string>> EtcdStore::config() {
  etcd::RangeResponse found = co_await client_.range({.key = layout_.config_key()});
  if (found.kvs.empty()) {
    co_return std::nullopt;
  }
  co_return std::move(found.kvs.front().value);
}

Task<Result<Lease>> EtcdStore::acquire(AcquireRequest request) {
  const RandomBelow random = random_below();
  for (int tries = 0; tries < kTries; ++tries) {
    const etcd::RangeResponse found = co_await client_.range(layout_.leases());
    Result<Choice> choice = choose_subnet(request, taken_subnets(found.kvs), random);
    if (!choice) {
      co_return std::unexpected(choice.error());
    }
    etcd::TxnRequest txn = discard_own(layout_, choice->discard, found.kvs);
    txn.compares.push_back(unchanged(layout_.lease_key(choice->key), found.kvs));
    Lease wanted{.key = choice->key, .attrs = request.attrs};
    std::optional<Lease> lease = co_await write(std::move(txn), wanted, choice->permanent);
    if (lease) {
      co_return std::move(*lease);
    }
  }
  co_return fail("no subnet after {} tries: other nodes were faster each time", kTries);
}

Task<Result<Lease>> EtcdStore::renew(Lease lease) {
  const std::string key = layout_.lease_key(lease.key);
  for (int tries = 0; tries < kTries; ++tries) {
    const etcd::RangeResponse found = co_await client_.range({.key = key});
    bool permanent = false;
    if (!found.kvs.empty()) {
      const etcd::KeyValue& entry = found.kvs.front();
      const Result<Lease> held = read_lease(entry);
      // It may still have the address we had when we wrote it.
      if (held && !same_node(lease.key, held->attrs, lease.attrs) &&
          !(own_.written() && same_node(lease.key, held->attrs, own_.written()->attrs))) {
        co_return fail("{} is held by {}", subnets_text(lease.key),
                       address_text(lease.key, held->attrs));
      }
      permanent = entry.lease == 0;
      if (permanent && entry.value == to_json(lease.attrs)) {
        lease.expiry.reset();
        own_.begin({.key = key, .attrs = lease.attrs, .lease = 0});
        own_.done(entry.mod_revision);
        co_return lease;
      }
    }
    etcd::TxnRequest txn{.compares = {unchanged(key, found.kvs)}};
    std::optional<Lease> written = co_await write(std::move(txn), lease, permanent);
    if (written) {
      co_return std::move(*written);
    }
  }
  co_return fail("{} cannot be renewed: its entry changed {} times meanwhile",
                 subnets_text(lease.key), kTries);
}

Task<std::optional<Lease>> EtcdStore::write(etcd::TxnRequest txn, Lease lease, bool permanent) {
  std::int64_t lease_id = 0;
  lease.expiry.reset();
  if (!permanent) {
    const EtcdLease::Grant grant = co_await etcd_lease_.get();
    lease_id = grant.id;
    lease.expiry = grant.expiry;
  }
  txn.success.push_back({.verb = etcd::Operation::Verb::put,
                         .key = layout_.lease_key(lease.key),
                         .value = to_json(lease.attrs),
                         .lease = lease_id});
  own_.begin({.key = layout_.lease_key(lease.key), .attrs = lease.attrs, .lease = lease_id});
  if (!co_await commit(std::move(txn))) {
    co_return std::nullopt;
  }
  co_await etcd_lease_.used(lease_id);
  co_return lease;
}

Task<bool> EtcdStore::commit(etcd::TxnRequest txn) {
  try {
    const etcd::TxnResponse done = co_await client_.txn(std::move(txn));
    if (done.succeeded) {
      own_.done(done.header.revision);
      co_return true;
    }
  } catch (const GrpcError& error) {
    if (error.code() == GrpcCode::unavailable || error.code() == GrpcCode::deadline_exceeded) {
      throw;  // it may have been written all the same
    }
    own_.refused();
    if (!std::string_view(error.what()).contains(kLeaseNotFound)) {
      throw;
    }
    etcd_lease_.lost();  // the next try has another
    co_return false;
  }
  own_.refused();
  co_return false;
}

// Each endpoint is spoken to as its own scheme says; without one, in TLS where there is any TLS
// file. A password goes over TLS, or nowhere, as soon as one endpoint has it; a unix socket is as
// good.
Result<std::vector<Endpoint>> endpoints_of(const EtcdOptions& options) {
  std::string list;
  for (const std::string& text : options.endpoints) {
    list += text + ",";
  }
  Result<std::vector<Endpoint>> endpoints = parse_endpoints(list);
  if (!endpoints) {
    return fail("etcd-endpoints: {}", endpoints.error().text);
  }
  const bool has_files =
      !options.cafile.empty() || !options.certfile.empty() || !options.keyfile.empty();
  std::vector<Endpoint> plain;
  for (Endpoint& endpoint : *endpoints) {
    endpoint.tls = endpoint.tls.value_or(has_files);
    if (!*endpoint.tls && !endpoint.is_unix()) {
      plain.push_back(endpoint);
    }
  }
  if (plain.empty()) {
    return endpoints;
  }
  const bool mixed = std::ranges::any_of(*endpoints, [](const Endpoint& e) { return *e.tls; });
  if (mixed && !options.username.empty()) {
    std::erase_if(*endpoints, [](const Endpoint& e) { return !*e.tls && !e.is_unix(); });
    log_warning("{}: not used, since the password goes over TLS alone", to_text(plain));
  } else {
    log_warning("{}: no TLS{}. This is insecure", to_text(plain),
                mixed || has_files ? ", though others or files of certificates are given" : "");
  }
  return endpoints;
}

}  // namespace

Result<std::unique_ptr<LeaseStore>> make_etcd_store(asio::any_io_executor executor,
                                                    EtcdOptions options) {
  Result<std::vector<Endpoint>> endpoints = endpoints_of(options);
  if (!endpoints) {
    return std::unexpected(endpoints.error());
  }
  // Read also where every endpoint is http://, so that bad files are an error there too.
  Result<TlsSource> tls = follow_tls_files(
      {.ca = options.cafile, .certificate = options.certfile, .key = options.keyfile});
  if (!tls) {
    return std::unexpected(tls.error());
  }
  return std::make_unique<EtcdStore>(std::move(executor), std::move(*endpoints), std::move(*tls),
                                     std::move(options));
}

}  // namespace flannel
