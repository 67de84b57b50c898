#include "store/etcd_watch.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "rpc/bad_answer.h"
#include "store/etcd_stream.h"

namespace flannel {
namespace {

// Of the configuration's watch. Not 0, as etcd chooses for the first: it answers a watch that it
// refuses with the number that it was asked for, and sends no more events to the one that has it
// (server/etcdserver/api/v3rpc/watch.go, of 3.4 and 3.6).
constexpr std::int64_t kConfigWatch = 1;

std::string compacted(const etcd::WatchResponse& response) {
  return fmt::format("etcd's history before revision {} is compacted", response.compact_revision);
}

}  // namespace

Task<std::optional<LeaseUpdate>> EtcdWatch::next(Deadline deadline) {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  for (;;) {
    std::string failure;
    if (!stream_) {
      attempts_.begin(Clock::now());
    }
    try {
      LeaseUpdate update = co_await try_next(deadline);
      co_return update;
    } catch (const DeadlineExceeded& late) {
      if (attempts_.is_connected() && Clock::now() < deadline) {
        attempts_.settle(Clock::now());
        continue;
      }
      if (attempts_.is_connected()) {
        co_return std::nullopt;
      }
      failure = late.what();
      client_.recover_from(failure);
    } catch (const BadAnswer& error) {
      failure = error.what();
      client_.recover_from(failure);
      if (attempts_.is_stuck(std::to_string(next_revision_), Clock::now())) {
        next_revision_ = 0;
      }
    } catch (const ConnectionError& error) {  // the next call tries the other endpoints
      failure = error.what();
    } catch (const std::exception& error) {
      if (state.cancelled() != asio::cancellation_type::none) {
        throw;
      }
      failure = error.what();
      client_.recover_from(failure);
    }
    attempts_.set_trouble(failure);
    stream_.reset();
    co_await sleep_for(attempts_.end(Clock::now()));
  }
}

// Throws DeadlineExceeded where it has come; else when an answer that is due does not come.
Task<LeaseUpdate> EtcdWatch::try_next(Deadline deadline) {
  for (;;) {
    if (next_revision_ == 0) {
      LeaseUpdate snapshot = co_await list();
      co_return snapshot;
    }
    if (!stream_) {
      co_await open();
    }
    Message message = co_await read(deadline);
    if (is_of_config(message)) {
      follow_config(message);
      continue;
    }
    const std::string lost = lost_history(message);
    if (!lost.empty()) {
      log_warning("{}: listing the leases again", lost);
      stream_.reset();
      next_revision_ = 0;
      if (!attempts_.has_lasted(Clock::now()) && attempts_.lists_again(Clock::now())) {
        attempts_.set_trouble(lost);
      }
      co_await sleep_for(attempts_.end(Clock::now()));
      attempts_.begin(Clock::now());
      continue;
    }
    follow(message);
    if (message.last_revision != 0) {
      LeaseUpdate update = message.events.take();
      update.own = std::move(message.own);
      co_return update;
    }
  }
}

// Passes the entries on, and keeps what is more than leases.
class EtcdWatch::Listing : public EtcdList {
 public:
  Listing(const EtcdLayout& layout, std::string own_key)
      : leases(layout), own_key_(std::move(own_key)) {}

  void start() override {
    leases.start();
    newest_revision = 0;
    own.reset();
  }
  void expect(std::uint64_t entries) override { leases.expect(entries); }
  void add(etcd::KeyValue entry) override {
    if (entry.mod_revision > newest_revision) {
      newest_revision = entry.mod_revision;
      newest_key = entry.key;
    }
    if (entry.key == own_key_) {
      own = entry;
    }
    leases.add(std::move(entry));
  }

  SnapshotReader leases;
  std::string newest_key;
  std::int64_t newest_revision = 0;
  std::optional<etcd::KeyValue> own;

 private:
  std::string own_key_;
};

Task<LeaseUpdate> EtcdWatch::list() {
  const std::uint64_t writes_before = own_.writes();
  Listing listing(layout_, own_.key());
  const etcd::ResponseHeader header = co_await client_.range(layout_.leases(), listing);
  seen_ = header;
  next_revision_ = header.revision + 1;
  newest_revision_ = listing.newest_revision;
  newest_key_ = listing.newest_key;
  LeaseUpdate update = listing.leases.take();
  update.own =
      own_.classify_listed(listing.own ? &*listing.own : nullptr, header.revision, writes_before);
  co_return update;
}

Task<void> EtcdWatch::open() {
  const etcd::RangeRequest leases = layout_.leases();
  // Where the store has gone on since, for others than us, its history may not go back so far.
  recognised_ = newest_revision_ + 1 != next_revision_;
  const etcd::WatchCreateRequest create{
      .key = leases.key,
      .range_end = leases.range_end,
      .start_revision = recognised_ ? next_revision_ : newest_revision_};
  stream_.emplace(co_await client_.watch(create));
}

Task<EtcdWatch::Message> EtcdWatch::read(Deadline deadline) {
  // Only the first answer is due at once, and a message that has begun is read to its end.
  const Deadline due = Clock::now() + kEtcdCallTime;
  const bool more = co_await stream_->next_message(
      attempts_.is_connected() ? std::min(deadline, attempts_.settles_at()) : due);
  if (!more) {
    throw std::runtime_error("etcd ended the watch");
  }
  if (stream_->left() > kMostMessageBytes) {
    throw BadAnswer(fmt::format("etcd sent {} bytes of events at once", stream_->left()));
  }
  Message message(layout_);
  etcd::WatchDecoder decoder([&](const etcd::Event& event) { take_event(message, event); });
  Progress progress(least_rate_, Clock::now());
  for (;;) {
    const std::string part = co_await read_part(progress);
    if (part.empty()) {
      break;
    }
    decode_answer([&] { decoder.feed(part); });
  }
  decode_answer([&] { decoder.finish(); });
  message.response = decoder.response();
  co_return message;
}

// The next bytes of a message; empty at its end.
Task<std::string> EtcdWatch::read_part(Progress& progress) {
  std::string part;
  try {
    part = co_await stream_->read_part(progress.deadline());
  } catch (const DeadlineExceeded&) {
    throw std::runtime_error(progress.complaint("an event of etcd", Clock::now()));
  }
  progress.add(part.size(), Clock::now());
  co_return part;
}

void EtcdWatch::take_event(Message& message, const etcd::Event& event) const {
  const etcd::KeyValue& entry = event.kv;
  message.has_config = message.has_config || entry.key == layout_.config_key();
  if (!layout_.has_lease(entry.key)) {
    return;
  }
  message.has_newest =
      message.has_newest || (entry.mod_revision == newest_revision_ && entry.key == newest_key_);
  if (entry.mod_revision < next_revision_) {
    return;
  }
  message.last_key = entry.key;
  message.last_revision = entry.mod_revision;
  message.events.add(event);
  if (std::optional<OwnEntry> own = own_.classify(event)) {
    message.own = std::move(own);
  }
}

// The leases' watch is answered once, and before there is another one. The answer to one that is
// refused may have any number.
bool EtcdWatch::is_of_config(const Message& message) const {
  const etcd::WatchResponse& response = message.response;
  return attempts_.is_connected() && (response.created || response.watch_id == kConfigWatch);
}

// In a store that is at `revision`.
void EtcdWatch::watch_config(std::int64_t revision) {
  stream_->write(encode(etcd::WatchCreateRequest{.key = layout_.config_key(),
                                                 .range_end = {},
                                                 .start_revision = config_.watch_from(revision),
                                                 .watch_id = kConfigWatch,
                                                 .progress = false}));
}

void EtcdWatch::follow_config(const Message& message) {
  const etcd::WatchResponse& response = message.response;
  if (response.compact_revision != 0) {  // since it was read at the start: the next one begins anew
    throw std::runtime_error(compacted(response));
  }
  if (response.canceled) {
    config_.refused(response.cancel_reason);
  } else if (message.has_config) {
    config_.changed();
  }
}

// Why the events since next_revision_ cannot be had; empty where they can.
std::string EtcdWatch::lost_history(const Message& message) const {
  const etcd::WatchResponse& response = message.response;
  if (response.compact_revision != 0) {
    return compacted(response);
  }
  const etcd::ResponseHeader& header = response.header;
  const bool restored = header.cluster_id != seen_.cluster_id ||
                        header.raft_term < seen_.raft_term || header.revision + 1 < next_revision_;
  // Events may be older than the member's present, so only the answer to create is compared.
  const bool unknown =
      !response.created && !response.canceled && !recognised_ && !message.has_newest;
  return (response.created && restored) || unknown ? "etcd is not the one it was, or was restored"
                                                   : "";
}

// Notes how far the store is; throws where the watch has ended.
void EtcdWatch::follow(const Message& message) {
  const etcd::WatchResponse& response = message.response;
  if (response.canceled) {
    next_revision_ = 0;
    attempts_.lists_again(Clock::now());
    throw std::runtime_error("etcd ended the watch: " + response.cancel_reason);
  }
  seen_ = response.header;
  if (!attempts_.is_connected()) {
    watch_config(response.header.revision);
  }
  attempts_.connected();
  if (message.last_revision != 0) {
    attempts_.heard();
  }
  attempts_.settle(Clock::now());
  recognised_ = recognised_ || !response.created;
  if (message.last_revision != 0) {
    // Not the header's: a watch that catches up gets its events in several responses, all with
    // the store's present revision.
    newest_key_ = message.last_key;
    newest_revision_ = message.last_revision;
    next_revision_ = newest_revision_ + 1;
  } else if (!response.created) {
    next_revision_ = std::max(next_revision_, response.header.revision + 1);  // progress
  }
}

}  // namespace flannel
