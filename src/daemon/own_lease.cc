#include "daemon/own_lease.h"

#include <algorithm>

#include "base/log.h"

namespace flannel {
namespace {

// Once may be a restored store, twice a node that moves; the third time it is an address
// conflict.
constexpr std::size_t kSecondOwner = 3;

std::string trouble_text(const OwnEntry& entry) {
  switch (entry.state) {
    case OwnEntry::State::as_written:
      return "";
    case OwnEntry::State::gone:
      return "is gone";
    case OwnEntry::State::other:
      return "was overwritten by " + holder_text(entry.lease);
    case OwnEntry::State::unreadable:
      return "was overwritten by something that is no lease: " + entry.reason;
    case OwnEntry::State::altered:
      return "was altered: " + entry.reason;
    case OwnEntry::State::may_expire:
      break;
  }
  return "was put again by somebody else, and ends too soon";
}

}  // namespace

OwnLease::OwnLease(const asio::any_io_executor& executor, LeaseStore& store, Lease lease,
                   std::chrono::minutes margin, Timing timing)
    : store_(store),
      lease_(std::move(lease)),
      margin_(margin),
      timing_(std::move(timing)),
      wake_(executor) {
  set_due();
}

void OwnLease::publish(LeaseAttrs attrs) {
  if (attrs != lease_.attrs) {
    lease_.attrs = std::move(attrs);
    write_anew();
  }
}

void OwnLease::write_anew() {
  write_now_ = true;
  wake_.set();
}

void OwnLease::store_is_back() {
  if (failed_) {
    interval_ = {};
    wake_.set();
  }
}

void OwnLease::seen(const OwnEntry& entry) {
  const std::string trouble = trouble_text(entry);
  if (failed_ && trouble != trouble_) {  // what it could not be written for may be over
    timing_.renewals.reset();
    interval_ = timing_.between_writes;
  }
  set_trouble(trouble);
  if (entry.state == OwnEntry::State::as_written) {
    return;
  }
  if (entry.state == OwnEntry::State::other &&
      is_same_node(lease_.key, lease_.attrs, entry.lease.attrs)) {
    count_second_owner(entry.lease);
  }
  write_anew();
}

void OwnLease::set_trouble(const std::string& trouble) {
  if (trouble == trouble_) {
    return;
  }
  log_trouble(!trouble.empty(), fmt::format("our lease {} {}", to_text(lease_.key),
                                            trouble.empty() ? "is as we wrote it again"
                                                            : trouble + ": writing it again"));
  trouble_ = trouble;
}

void OwnLease::count_second_owner(const Lease& entry) {
  if (!std::exchange(intact_, false)) {
    return;  // that was counted, and nothing of ours has been written since
  }
  const Clock::time_point now = timing_.now();
  overwritten_.push_back(now);
  while (overwritten_.front() + timing_.minute < now) {
    overwritten_.pop_front();
  }
  if (overwritten_.size() >= kSecondOwner) {
    throw Fatal(fmt::format(
        "two nodes publish {}: {} was overwritten {} times within a minute. Give each an address "
        "of its own (--public-ip, --public-ipv6)",
        holder_text(entry), to_text(entry.key), overwritten_.size()));
  }
}

// A store may say any lifetime. A reservation needs no renewal.
void OwnLease::set_due() {
  due_ = Clock::time_point::max();
  if (!lease_.expiry) {
    return;
  }
  const Clock::time_point now = timing_.now();
  const Clock::duration lifetime = std::max(*lease_.expiry - now, Clock::duration());
  due_ = now + (lifetime > margin_ ? lifetime - margin_ : lifetime / 2);
  log_info("Waiting for {}s to renew lease",
           std::chrono::duration_cast<std::chrono::seconds>(due_ - now).count());
}

OwnLease::Clock::time_point OwnLease::next_write() const {
  return write_now_ ? written_at_ + interval_
                    : std::max(due_, written_at_ + timing_.between_writes);
}

Task<void> OwnLease::run() {
  for (;;) {
    const Clock::duration left = next_write() - timing_.now();
    if (left.count() > 0) {
      const auto wait = std::min<std::chrono::nanoseconds>(left, timing_.between_clock_looks);
      co_await wake_.wait(std::chrono::steady_clock::now() + wait);
    } else {
      co_await write();
    }
  }
}

Task<void> OwnLease::write() {
  const Clock::time_point now = timing_.now();
  if (now - written_at_ > timing_.minute) {
    timing_.renewals.reset();
  }
  written_at_ = now;
  interval_ = std::max(timing_.between_writes, timing_.renewals.next());
  const bool was_away = failed_;
  write_now_ = false;  // what is seen or published from here on is news
  const Lease lease = lease_;
  const Result<Lease> written = co_await try_write(lease);
  if (!written) {
    throw Fatal(fmt::format("Lease has been revoked: {}", written.error().text));
  }
  if (!failed_) {
    intact_ = true;
    if (was_away) {  // that was no dispute: what happens to the entry now is answered soon
      timing_.renewals.reset();
      interval_ = timing_.between_writes;
    }
    lease_.expiry = written->expiry;
    set_due();
  }
}

// What the store says, or `lease` where it does not answer.
Task<Result<Lease>> OwnLease::try_write(Lease lease) {
  std::string trouble;
  Result<Lease> written = lease;
  try {
    written = co_await store_.renew(lease);
  } catch (const std::exception& error) {
    trouble = error.what();
  }
  failed_ = !trouble.empty();
  write_now_ = write_now_ || failed_;
  if (on_store_state) {
    on_store_state(trouble);
  }
  co_return written;
}

}  // namespace flannel
