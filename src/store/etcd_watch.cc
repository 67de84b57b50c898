#include "store/etcd_watch.h"

#include <algorithm>

#include "base/log.h"

namespace flannel {

Task<LeaseUpdate> EtcdWatch::next() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  for (;;) {
    std::string failure;
    if (!stream_) {
      began_ = Clock::now();
    }
    try {
      LeaseUpdate update = co_await try_next();
      co_return update;
    } catch (const ConnectionError& error) {  // the next call tries the other endpoints
      failure = error.what();
    } catch (const std::exception& error) {
      if (state.cancelled() != asio::cancellation_type::none) {
        throw;
      }
      failure = error.what();
      client_.recover_from(failure);
    }
    co_await sleep_for(failed(failure));
  }
}

Task<LeaseUpdate> EtcdWatch::try_next() {
  for (;;) {
    if (next_revision_ == 0) {
      LeaseUpdate snapshot = co_await list();
      co_return snapshot;
    }
    if (!stream_) {
      co_await open();
    }
    etcd::WatchResponse response = co_await read();
    const std::string lost = lost_history(response);
    if (!lost.empty()) {
      log_warning("{}: listing the leases again", lost);
      stream_.reset();
      following_ = false;
      next_revision_ = 0;
      co_await sleep_for(backoff_.next());
      continue;
    }
    follow(response);
    if (!response.events.empty()) {
      LeaseUpdate update = read_events(response.events);
      for (const etcd::Event& event : response.events) {
        if (std::optional<OwnEntry> own = own_.judge(event)) {
          update.own = std::move(own);
        }
      }
      co_return update;
    }
  }
}

Task<LeaseUpdate> EtcdWatch::list() {
  const std::uint64_t writes_before = own_.writes();
  const etcd::RangeResponse response = co_await client_.range(layout_.leases());
  seen_ = response.header;
  next_revision_ = response.header.revision + 1;
  newest_revision_ = 0;
  const auto newest = std::ranges::max_element(response.kvs, {}, &etcd::KeyValue::mod_revision);
  if (newest != response.kvs.end()) {
    newest_key_ = newest->key;
    newest_revision_ = newest->mod_revision;
  }
  LeaseUpdate update = read_snapshot(response.kvs);
  const auto own = std::ranges::find(response.kvs, own_.key(), &etcd::KeyValue::key);
  update.own = own_.judge_listed(own == response.kvs.end() ? nullptr : &*own,
                                 response.header.revision, writes_before);
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

Task<etcd::WatchResponse> EtcdWatch::read() {
  // Only the first answer is due at once.
  const std::optional<std::string> message =
      co_await stream_->read(following_ ? kNever : Clock::now() + kEtcdCallTime);
  if (!message) {
    throw std::runtime_error("etcd ended the watch");
  }
  co_return etcd::decode_watch(*message);
}

// Why the events since next_revision_ cannot be had; empty where they can.
std::string EtcdWatch::lost_history(const etcd::WatchResponse& response) const {
  if (response.compact_revision != 0) {
    return fmt::format("etcd's history before revision {} is compacted", response.compact_revision);
  }
  const etcd::ResponseHeader& header = response.header;
  const bool restored = header.cluster_id != seen_.cluster_id ||
                        header.raft_term < seen_.raft_term || header.revision + 1 < next_revision_;
  // Events may be older than the member's present, so only the answer to create is compared.
  const bool unknown =
      !response.created && !response.canceled && !recognised_ &&
      std::ranges::none_of(response.events, [this](const etcd::Event& event) {
        return event.kv.mod_revision == newest_revision_ && event.kv.key == newest_key_;
      });
  return (response.created && restored) || unknown ? "etcd is not the one it was, or was restored"
                                                   : "";
}

// Notes how far the store is, and leaves the events that are new; throws where the watch has ended.
void EtcdWatch::follow(etcd::WatchResponse& response) {
  if (response.canceled) {
    next_revision_ = 0;
    throw std::runtime_error("etcd ended the watch: " + response.cancel_reason);
  }
  seen_ = response.header;
  following_ = true;
  set_trouble("");
  recognised_ = recognised_ || !response.created;
  std::erase_if(response.events, [this](const etcd::Event& event) {
    return event.kv.mod_revision < next_revision_;
  });
  if (!response.events.empty()) {
    // Not the header's: a watch that catches up gets its events in several responses, all with
    // the store's present revision.
    newest_key_ = response.events.back().kv.key;
    newest_revision_ = response.events.back().kv.mod_revision;
    next_revision_ = newest_revision_ + 1;
  } else if (!response.created) {
    next_revision_ = std::max(next_revision_, response.header.revision + 1);  // progress
  }
}

// How long to wait. An attempt that took long was part of the wait: a host that is away swallows
// what we send, and its return is to be noticed within kMostEtcdWait.
EtcdWatch::Clock::duration EtcdWatch::failed(const std::string& reason) {
  Clock::duration spent = Clock::now() - began_;
  if (following_ && spent > std::chrono::seconds(5)) {
    backoff_.reset();
  }
  if (std::exchange(following_, false)) {
    spent = {};
  }
  stream_.reset();
  set_trouble(reason);
  return std::max<Clock::duration>(backoff_.next() - spent, {});
}

void EtcdWatch::set_trouble(const std::string& trouble) {
  if (trouble != std::exchange(trouble_, trouble) && on_state_) {
    on_state_(trouble);
  }
}

}  // namespace flannel
