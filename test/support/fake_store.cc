#include "test/support/fake_store.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <deque>
#include <stdexcept>
#include <utility>

#include "base/printable.h"
#include "store/config_changes.h"

namespace flannel {

namespace {

// The own lease of a view, as it wrote it last.
using Written = std::shared_ptr<std::optional<Lease>>;

}  // namespace

class FakeWatch : public LeaseWatch {
 public:
  FakeWatch(FakeStore& store, const asio::any_io_executor& executor, Written written)
      : store_(store),
        written_(std::move(written)),
        woken_(executor, asio::steady_timer::time_point::max()) {
    store_.watches_.insert(this);
  }
  FakeWatch(const FakeWatch&) = delete;
  FakeWatch& operator=(const FakeWatch&) = delete;
  ~FakeWatch() override { store_.watches_.erase(this); }

  Task<std::optional<LeaseUpdate>> next(Deadline deadline) override {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    for (;;) {
      store_.check();
      if (!listed_) {
        listed_ = true;
        waiting_.clear();
        LeaseUpdate update = store_.snapshot();
        update.own = own_entry(update);
        co_return update;
      }
      if (!waiting_.empty()) {
        LeaseUpdate update = std::move(waiting_.front());
        waiting_.pop_front();
        co_return update;
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        co_return std::nullopt;
      }
      woken_.expires_at(deadline);
      boost::system::error_code woken;
      co_await woken_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(woken);
      }
    }
  }

  void tell(LeaseUpdate update) {
    if (!update.own) {
      update.own = own_entry(update);
    }
    waiting_.push_back(std::move(update));
    woken_.cancel();
  }
  void start_over() {
    listed_ = false;
    woken_.cancel();
  }
  void wake() { woken_.cancel(); }

 private:
  // What `update` says of our own key; nothing where it does not, or where there is none yet.
  std::optional<OwnEntry> own_entry(const LeaseUpdate& update) const {
    const std::optional<Lease>& written = *written_;
    if (!written) {
      return std::nullopt;
    }
    for (const Lease& lease : update.leases) {
      if (lease.key == written->key) {
        return classify_own(lease, written->attrs, lease.expiry == written->expiry);
      }
    }
    for (const BadEntry& entry : update.bad) {
      if (entry.key == to_text(written->key)) {
        return classify_own(fail("{}", entry.reason), written->attrs, false);
      }
    }
    if (update.snapshot ||
        std::ranges::find(update.removed, written->key) != update.removed.end()) {
      return OwnEntry{.state = OwnEntry::State::gone, .lease = {}, .reason = {}};
    }
    return std::nullopt;
  }

  FakeStore& store_;
  Written written_;
  asio::steady_timer woken_;  // cancelled to wake
  bool listed_ = false;
  std::deque<LeaseUpdate> waiting_;
};

class FakeView : public LeaseStore {
 public:
  FakeView(FakeStore& store, asio::any_io_executor executor)
      : store_(store), executor_(std::move(executor)) {}

  std::string name() const override { return "fake"; }

  Task<std::optional<std::string>> config() override {
    store_.check();
    ++store_.calls_.config;
    co_return store_.config;
  }

  Task<Result<std::string>> next_config(std::optional<std::string> last) override {
    do {
      co_await sleep_for(std::chrono::milliseconds(1));
    } while (store_.config == last);
    store_.check();  // it is read when it may be another
    co_return store_.config ? Result<std::string>(*store_.config) : no_config(*this);
  }

  Result<NetworkConfig> parse_config(const std::string& text) const override {
    return parse_network_config(text, store_.checks);
  }

  Task<Result<NodeFacts>> facts() override {
    store_.check();
    ++store_.calls_.facts;
    co_return store_.facts;
  }

  Task<Result<Lease>> acquire(AcquireRequest request) override;
  Task<Result<Lease>> renew(Lease lease) override;

  Task<Result<void>> on_ready() override {
    store_.check();
    if (store_.refuses_ready) {
      throw StoreRefused(store_.not_told);
    }
    if (!store_.not_told.empty()) {
      co_return fail("{}", store_.not_told);
    }
    ++store_.calls_.ready;
    co_return Result<void>();
  }

  std::unique_ptr<LeaseWatch> watch() override {
    store_.check();
    ++store_.calls_.watch;
    return std::make_unique<FakeWatch>(store_, executor_, written_);
  }

 private:
  bool is_ours(const Lease& entry, const LeaseAttrs& attrs) const;

  FakeStore& store_;
  asio::any_io_executor executor_;
  Written written_ = std::make_shared<std::optional<Lease>>();
};

std::unique_ptr<LeaseStore> FakeStore::open(asio::any_io_executor executor) {
  return std::make_unique<FakeView>(*this, std::move(executor));
}

void FakeStore::put(const Lease& lease) {
  bad_.erase(to_text(lease.key));
  leases_.insert_or_assign(lease.key, lease);
  deliver({.leases = {lease}});
}

void FakeStore::put_bad(const BadEntry& entry) {
  const Result<LeaseKey> key = parse_lease_key(entry.key);
  if (key) {
    leases_.erase(*key);
  }
  const BadEntry shown{.key = printable(entry.key), .reason = printable(entry.reason)};
  bad_.insert_or_assign(entry.key, shown);
  LeaseUpdate update{.bad = {shown}};
  if (key) {
    update.unreadable.push_back(*key);
  }
  deliver(update);
}

void FakeStore::remove(const std::string& text) {
  bad_.erase(text);
  const Result<LeaseKey> key = parse_lease_key(text);
  if (key) {
    leases_.erase(*key);
    deliver({.removed = {*key}});
  } else {
    deliver({.bad_removed = {printable(text)}});
  }
}

void FakeStore::deliver(const LeaseUpdate& update) {
  for (FakeWatch* watch : watches_) {
    watch->tell(update);
  }
}

void FakeStore::lose_events() {
  for (FakeWatch* watch : watches_) {
    watch->start_over();
  }
}

void FakeStore::fail_with(const std::string& sentence) {
  failure_ = sentence;
  for (FakeWatch* watch : watches_) {
    watch->wake();
  }
}

void FakeStore::check() {
  if (!failure_.empty()) {
    ++failed_calls_;
    throw std::runtime_error(failure_);
  }
}

LeaseUpdate FakeStore::snapshot() const {
  LeaseUpdate update{.snapshot = true};
  for (const auto& [key, lease] : leases_) {
    update.leases.push_back(lease);
  }
  for (const auto& [key, entry] : bad_) {
    update.bad.push_back(entry);
    if (const Result<LeaseKey> parsed = parse_lease_key(key)) {
      update.unreadable.push_back(*parsed);
    }
  }
  return update;
}

// The leases, and the subnets of entries that cannot be read.
std::vector<Lease> FakeStore::taken() const {
  const LeaseUpdate all = snapshot();
  std::vector<Lease> taken = all.leases;
  for (const LeaseKey& key : all.unreadable) {
    taken.push_back({.key = key, .attrs = {}, .expiry = {}});
  }
  return taken;
}

Task<Result<Lease>> FakeView::acquire(AcquireRequest request) {
  if (std::exchange(store_.other_config, false)) {
    throw ConfigChanged();
  }
  store_.check();
  const Result<Choice> choice = choose_subnet(request, store_.taken(), random_below());
  if (!choice) {
    co_return std::unexpected(choice.error());
  }
  ++store_.calls_.acquire;
  for (const LeaseKey& key : choice->discard) {
    store_.remove(key);
  }
  Lease lease{.key = choice->key, .attrs = request.attrs, .expiry = std::nullopt};
  if (!choice->permanent) {
    lease.expiry = store_.now() + kLeaseTime;
  }
  *written_ = lease;
  store_.put(lease);
  co_return lease;
}

// Our own entry may still have the address we had when we wrote it.
bool FakeView::is_ours(const Lease& entry, const LeaseAttrs& attrs) const {
  const Family family = entry.key.v4 ? Family::v4 : Family::v6;
  const std::optional<IpAddr>& holder = entry.attrs.public_address(family);
  return holder == attrs.public_address(family) ||
         (*written_ && holder == (*written_)->attrs.public_address(family));
}

Task<Result<Lease>> FakeView::renew(Lease lease) {
  store_.check();
  const Family family = lease.key.v4 ? Family::v4 : Family::v6;
  const auto found = store_.leases_.find(lease.key);
  const bool held = found != store_.leases_.end();
  if (held && !is_ours(found->second, lease.attrs)) {
    co_return fail("{} is held by {}", lease.key.family(family)->to_text(),
                   found->second.attrs.public_address(family).value_or(IpAddr()).to_text());
  }
  for (const Lease& other : held ? std::vector<Lease>() : store_.taken()) {
    const std::optional<Prefix> taken = overlap(lease.key, other.key);
    if (taken && other.key != lease.key) {
      co_return fail("{} is held by {}", taken->to_text(), holder_text(other));
    }
  }
  lease.expiry = store_.now() + kLeaseTime;
  if (held && !found->second.expiry) {
    lease.expiry.reset();
  }
  ++store_.calls_.renew;
  *written_ = lease;
  store_.put(lease);
  co_return lease;
}

}  // namespace flannel
