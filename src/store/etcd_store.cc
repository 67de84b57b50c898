#include "store/etcd_store.h"

#include <algorithm>
#include <random>
#include <ranges>

#include "base/log.h"
#include "store/config_key.h"
#include "store/etcd_client.h"
#include "store/etcd_lease.h"
#include "store/etcd_watch.h"

namespace flannel {
namespace {

// api/v3rpc/rpctypes/error.go
constexpr std::string_view kLeaseNotFound = "requested lease not found";
constexpr int kTries = 10;                 // against other nodes that are faster
constexpr std::size_t kMostDiscards = 50;  // in one transaction: etcd takes 128 operations

std::string to_text(const std::vector<Endpoint>& endpoints) {
  std::string out;
  for (const Endpoint& endpoint : endpoints) {
    out += (out.empty() ? "" : ",") + endpoint.to_text();
  }
  return out;
}

// A transaction that removes our own entries of another configuration, as long as they have not
// changed.
etcd::TxnRequest discard_own(const EtcdLayout& layout, const std::vector<LeaseKey>& keys,
                             std::int64_t revision) {
  etcd::TxnRequest txn;
  for (const LeaseKey& key : keys | std::views::take(kMostDiscards)) {
    log_info("Found lease ({}) not compatible with current config, deleting", subnets_text(key));
    const std::string text = layout.lease_key(key);
    txn.conditions.push_back({.key = text, .range_end = {}, .revision = revision});
    txn.success.push_back({.verb = etcd::Operation::Verb::remove, .key = text});
  }
  return txn;
}

// Whose subnets are not free: all leases, and entries of which only the key can be read.
std::vector<Lease> taken_subnets(LeaseUpdate listed) {
  for (const LeaseKey& key : listed.unreadable) {
    listed.leases.push_back({key, {}, std::nullopt});
  }
  return std::move(listed.leases);
}

// Looks for who had a subnet of ours before us. An entry of our own address is ours as well.
class Rivals : public EtcdList {
 public:
  Rivals(const EtcdLayout& layout, const Lease& ours)
      : layout_(layout), ours_(ours), own_key_(layout.lease_key(ours.key)) {}

  void start() override {
    first_.reset();
    first_revision_ = own_revision_ = INT64_MAX;
  }
  void add(etcd::KeyValue entry) override {
    if (entry.key == own_key_) {
      own_revision_ = entry.create_revision;
      return;
    }
    const Result<LeaseKey> key = parse_lease_key(layout_.name(entry.key));
    if (!key || !overlap(ours_.key, *key) || entry.create_revision >= first_revision_) {
      return;
    }
    const Result<Lease> lease = read_lease(layout_, entry);
    if (!lease || !is_same_node(lease->key, lease->attrs, ours_.attrs)) {
      first_ = {.key = *key, .attrs = lease ? lease->attrs : LeaseAttrs(), .expiry = {}};
      first_revision_ = entry.create_revision;
    }
  }

  // `10.5.1.0/24 is held by 198.18.0.9`; nothing where nobody was before us.
  std::optional<std::string> conflict() const {
    if (first_revision_ >= own_revision_ || !first_) {
      return std::nullopt;
    }
    return fmt::format("{} is held by {}", overlap(ours_.key, first_->key)->to_text(),
                       holder_text(*first_));
  }

 private:
  const EtcdLayout& layout_;
  const Lease& ours_;
  const std::string own_key_;
  std::optional<Lease> first_;
  std::int64_t first_revision_ = INT64_MAX;
  std::int64_t own_revision_ = INT64_MAX;
};

// Nodes begin with different endpoints, so that the members of a cluster share their load.
std::vector<Endpoint> in_random_order(std::vector<Endpoint> endpoints) {
  std::ranges::shuffle(endpoints, std::minstd_rand(std::random_device()()));
  return endpoints;
}

class EtcdStore : public LeaseStore {
 public:
  EtcdStore(asio::any_io_executor executor, std::vector<Endpoint> endpoints, TlsSource tls,
            EtcdOptions options, WatchAttempts::OnTrouble on_trouble, LeastRate least_rate)
      : name_("etcd " + to_text(endpoints)),
        layout_(std::move(options.prefix)),
        on_trouble_(std::move(on_trouble)),
        least_rate_(least_rate),
        config_(executor),
        client_(std::move(executor), in_random_order(std::move(endpoints)), std::move(tls),
                {std::move(options.username), std::move(options.password)}) {
    name_ += " " + layout_.prefix();
  }

  std::string name() const override { return name_; }
  Task<std::optional<std::string>> config() override;
  Task<Result<std::string>> next_config(std::optional<std::string> last) override {
    return config_.changes().next(*this, std::move(last));
  }
  Task<Result<Lease>> acquire(AcquireRequest request) override;
  Task<Result<Lease>> renew(Lease lease) override;
  void host_changed() override { client_.host_changed(); }
  std::unique_ptr<LeaseWatch> watch() override {
    return std::make_unique<EtcdWatch>(client_, layout_, own_, config_, on_trouble_, least_rate_);
  }

 private:
  // Adds the put of `lease` to the transaction and does it, `permanent` or with our etcd lease.
  // Nothing where a condition did not hold: another node was faster.
  Task<std::optional<Lease>> write(etcd::TxnRequest txn, Lease lease, bool permanent);
  Task<bool> commit(etcd::TxnRequest txn);
  Task<std::optional<std::string>> rival(const Lease& lease);

  std::string name_;
  EtcdLayout layout_;
  WatchAttempts::OnTrouble on_trouble_;
  const LeastRate least_rate_;
  ConfigKey config_;
  EtcdClient client_;
  EtcdLease etcd_lease_{client_};
  OwnKey own_{layout_};
};

Task<std::optional<std::string>> EtcdStore::config() {
  EtcdEntry found = co_await client_.get(layout_.config_key());
  config_.read(found.revision);
  if (!found.entry) {
    co_return std::nullopt;
  }
  co_return std::move(found.entry->value);  // cut where it is too long to be one anyway
}

Task<Result<Lease>> EtcdStore::acquire(AcquireRequest request) {
  const RandomBelow random = random_below();
  for (int tries = 0; tries < kTries; ++tries) {
    SnapshotReader reader(layout_);
    const etcd::ResponseHeader header = co_await client_.range(layout_.leases(), reader);
    Result<Choice> choice = choose_subnet(request, taken_subnets(reader.take()), random);
    if (!choice) {
      co_return std::unexpected(choice.error());
    }
    etcd::TxnRequest txn = discard_own(layout_, choice->discard, header.revision);
    txn.conditions.push_back(layout_.untouched(choice->key, header.revision));
    const Lease wanted{.key = choice->key, .attrs = request.attrs};
    const std::optional<Lease> lease = co_await write(std::move(txn), wanted, choice->permanent);
    const bool is_kept = lease && (choice->permanent || !(co_await rival(*lease)).has_value());
    if (is_kept) {
      co_return *lease;
    }
  }
  co_return fail("no subnet after {} tries: other nodes were faster each time", kTries);
}

Task<Result<Lease>> EtcdStore::renew(Lease lease) {
  const std::string key = layout_.lease_key(lease.key);
  for (int tries = 0; tries < kTries; ++tries) {
    EtcdEntry found = co_await client_.get(key);
    const bool is_new = !found.entry;
    bool permanent = false;
    if (is_new) {
      Rivals rivals(layout_, lease);
      found.revision = (co_await client_.range(layout_.leases(), rivals)).revision;
      if (const std::optional<std::string> conflict = rivals.conflict()) {
        co_return fail("{}", *conflict);
      }
    } else {
      const Result<Lease> held = read_lease(layout_, *found.entry);
      permanent = held && found.entry->lease == 0;  // what cannot be read reserves nothing
      // It may still have the address we had when we wrote it.
      if (held && !is_same_node(lease.key, held->attrs, lease.attrs) &&
          !(own_.written() && is_same_node(lease.key, held->attrs, own_.written()->attrs))) {
        co_return fail("{} is held by {}", subnets_text(lease.key), holder_text(*held));
      }
      if (permanent && found.entry->value == to_json(lease.attrs)) {
        lease.expiry.reset();
        own_.begin({.key = key, .attrs = lease.attrs, .lease = 0});
        own_.done(found.entry->mod_revision);
        co_return lease;
      }
    }
    etcd::TxnRequest txn{.conditions = {layout_.untouched(lease.key, found.revision)}};
    const std::optional<Lease> written = co_await write(std::move(txn), lease, permanent);
    if (written) {
      const std::optional<std::string> conflict = is_new ? co_await rival(*written) : std::nullopt;
      co_return conflict ? Result<Lease>(fail("{}", *conflict)) : *written;
    }
  }
  co_return fail("{} cannot be renewed: its entry changed {} times meanwhile",
                 subnets_text(lease.key), kTries);
}

// Why an entry that was taken cannot be kept; it is given back then. IPv6 subnets are parts of keys
// that the condition of a new one does not cover, others may go by other conditions, and an older
// flanneld by none. So whoever has taken one looks once more; of two that clash it is the second
// one's to go.
Task<std::optional<std::string>> EtcdStore::rival(const Lease& lease) {
  const std::string key = layout_.lease_key(lease.key);
  Rivals rivals(layout_, lease);
  co_await client_.range(layout_.leases(), rivals);
  std::optional<std::string> conflict = rivals.conflict();
  if (conflict) {
    log_info("{} too: giving it back", *conflict);
    etcd::TxnRequest txn{
        .conditions = {{.key = key, .range_end = {}, .revision = own_.revision()}}};
    txn.success.push_back({.verb = etcd::Operation::Verb::remove, .key = key});
    own_.release();
    co_await client_.txn(std::move(txn));
  }
  co_return conflict;
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
  } catch (const StoreRefused&) {
    own_.refused();
    throw;
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
  Result<std::vector<Endpoint>> endpoints = parse_endpoints(options.endpoints);
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
                                                    EtcdOptions options,
                                                    WatchAttempts::OnTrouble on_trouble,
                                                    LeastRate least_rate) {
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
                                     std::move(options), std::move(on_trouble), least_rate);
}

}  // namespace flannel
