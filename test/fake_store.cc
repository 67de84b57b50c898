#include "test/fake_store.h"

#include <boost/asio/redirect_error.hpp>
#include <deque>
#include <stdexcept>

namespace flannel {

class FakeWatch : public LeaseWatch {
 public:
  FakeWatch(FakeStore& store, const asio::any_io_executor& executor)
      : store_(store), woken_(executor, asio::steady_timer::time_point::max()) {
    store_.watches_.insert(this);
  }
  FakeWatch(const FakeWatch&) = delete;
  FakeWatch& operator=(const FakeWatch&) = delete;
  ~FakeWatch() override { store_.watches_.erase(this); }

  Task<LeaseUpdate> next() override {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    for (;;) {
      store_.check();
      if (!listed_) {
        listed_ = true;
        waiting_.clear();
        co_return store_.snapshot();
      }
      if (!waiting_.empty()) {
        LeaseUpdate update = std::move(waiting_.front());
        waiting_.pop_front();
        co_return update;
      }
      boost::system::error_code woken;
      co_await woken_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(woken);
      }
    }
  }

  void tell(const LeaseUpdate& update) {
    waiting_.push_back(update);
    woken_.cancel();
  }
  void start_over() {
    listed_ = false;
    woken_.cancel();
  }
  void wake() { woken_.cancel(); }

 private:
  FakeStore& store_;
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

  Task<Result<Lease>> acquire(AcquireRequest request) override;
  Task<Result<Lease>> renew(Lease lease) override;

  std::unique_ptr<LeaseWatch> watch() override {
    store_.check();
    ++store_.calls_.watch;
    return std::make_unique<FakeWatch>(store_, executor_);
  }

 private:
  bool is_ours(const Lease& entry, const LeaseAttrs& attrs) const;

  FakeStore& store_;
  asio::any_io_executor executor_;
  std::optional<LeaseAttrs> written_;  // of our own lease, last
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
  bad_.insert_or_assign(entry.key, entry);
  deliver({.bad = {entry}});
}

void FakeStore::remove(const std::string& text) {
  bad_.erase(text);
  const Result<LeaseKey> key = parse_lease_key(text);
  if (key) {  // what was never a lease need not be taken back
    leases_.erase(*key);
    deliver({.removed = {*key}});
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
  }
  return update;
}

// The leases, and the subnets of entries that cannot be read.
std::vector<Lease> FakeStore::taken() const {
  std::vector<Lease> taken = snapshot().leases;
  for (const auto& [text, entry] : bad_) {
    const Result<LeaseKey> key = parse_lease_key(text);
    if (key) {
      taken.push_back({.key = *key, .attrs = {}, .expiry = {}});
    }
  }
  return taken;
}

Task<Result<Lease>> FakeView::acquire(AcquireRequest request) {
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
  store_.put(lease);
  written_ = lease.attrs;
  co_return lease;
}

// Our own entry may still have the address we had when we wrote it.
bool FakeView::is_ours(const Lease& entry, const LeaseAttrs& attrs) const {
  const Family family = entry.key.v4 ? Family::v4 : Family::v6;
  const std::optional<IpAddr>& holder = entry.attrs.public_address(family);
  return holder == attrs.public_address(family) ||
         (written_ && holder == written_->public_address(family));
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
  lease.expiry = store_.now() + kLeaseTime;
  if (held && !found->second.expiry) {
    lease.expiry.reset();
  }
  ++store_.calls_.renew;
  store_.put(lease);
  written_ = lease.attrs;
  co_return lease;
}

}  // namespace flannel
