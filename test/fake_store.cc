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

  Task<Result<Lease>> acquire(AcquireRequest request) override {
    co_return store_.acquire(request);
  }

  Task<Result<Lease>> renew(Lease lease) override { co_return store_.renew(lease); }

  std::unique_ptr<LeaseWatch> watch() override {
    store_.check();
    ++store_.calls_.watch;
    return std::make_unique<FakeWatch>(store_, executor_);
  }

 private:
  FakeStore& store_;
  asio::any_io_executor executor_;
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

void FakeStore::check() const {
  if (!failure_.empty()) {
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

Result<Lease> FakeStore::acquire(const AcquireRequest& request) {
  check();
  const Result<Choice> choice = choose_subnet(request, snapshot().leases, random_below());
  if (!choice) {
    return std::unexpected(choice.error());
  }
  ++calls_.acquire;
  for (const LeaseKey& key : choice->discard) {
    remove(key);
  }
  Lease lease{.key = choice->key, .attrs = request.attrs, .expiry = std::nullopt};
  if (!choice->permanent) {
    lease.expiry = std::chrono::system_clock::now() + kLeaseTime;
  }
  put(lease);
  return lease;
}

Result<Lease> FakeStore::renew(const Lease& lease) {
  check();
  const auto found = leases_.find(lease.key);
  const Family family = lease.key.v4 ? Family::v4 : Family::v6;
  Lease renewed = lease;
  renewed.expiry = std::chrono::system_clock::now() + kLeaseTime;
  if (found != leases_.end()) {
    const std::optional<IpAddr>& holder = found->second.attrs.public_address(family);
    if (holder != lease.attrs.public_address(family)) {
      return fail("{} is held by {}", lease.key.family(family)->to_text(),
                  holder.value_or(IpAddr()).to_text());
    }
    if (!found->second.expiry) {
      renewed.expiry.reset();
    }
  }
  ++calls_.renew;
  put(renewed);
  return renewed;
}

}  // namespace flannel
