#include "store/etcd_watch.h"

#include "base/log.h"

namespace flannel {

Task<LeaseUpdate> EtcdWatch::next() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  for (;;) {
    std::string failure;
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
    failed(failure);
    co_await sleep_for(backoff_.next());
  }
}

Task<LeaseUpdate> EtcdWatch::try_next() {
  for (;;) {
    if (next_revision_ == 0) {
      LeaseUpdate snapshot = co_await list();
      co_return snapshot;
    }
    const bool fresh = !stream_;
    if (fresh) {
      co_await open();
    }
    // Only the first answer is due at once.
    const std::optional<std::string> message =
        co_await stream_->read(fresh ? opened_ + kEtcdCallTime : kNever);
    if (!message) {
      throw std::runtime_error("etcd ended the watch");
    }
    const etcd::WatchResponse response = etcd::decode_watch(*message);
    const std::string lost = lost_history(response);
    if (!lost.empty()) {
      log_warning("{}: listing the leases again", lost);
      stream_.reset();
      next_revision_ = 0;
      co_await sleep_for(backoff_.next());
      continue;
    }
    follow(response);
    if (!response.events.empty()) {
      co_return read_events(response.events);
    }
  }
}

Task<LeaseUpdate> EtcdWatch::list() {
  const etcd::RangeResponse response = co_await client_.range(layout_.leases());
  seen_ = response.header;
  next_revision_ = response.header.revision + 1;
  set_trouble("");
  co_return read_snapshot(response.kvs);
}

Task<void> EtcdWatch::open() {
  const etcd::RangeRequest leases = layout_.leases();
  const etcd::WatchCreateRequest create{
      .key = leases.key, .range_end = leases.range_end, .start_revision = next_revision_};
  stream_.emplace(co_await client_.watch(create));
  opened_ = Clock::now();
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
  return response.created && restored ? "etcd is not the one it was, or was restored" : "";
}

// Notes how far the store is; throws where the watch has ended.
void EtcdWatch::follow(const etcd::WatchResponse& response) {
  if (response.canceled) {
    next_revision_ = 0;
    throw std::runtime_error("etcd ended the watch: " + response.cancel_reason);
  }
  seen_ = response.header;
  set_trouble("");
  if (!response.events.empty()) {
    // Not the header's: a watch that catches up gets its events in several responses, all with
    // the store's present revision.
    next_revision_ = response.events.back().kv.mod_revision + 1;
  } else if (!response.created) {
    next_revision_ = std::max(next_revision_, response.header.revision + 1);  // progress
  }
}

void EtcdWatch::failed(const std::string& reason) {
  if (stream_ && Clock::now() - opened_ > std::chrono::seconds(5)) {
    backoff_.reset();
  }
  stream_.reset();
  set_trouble(reason);
}

void EtcdWatch::set_trouble(const std::string& trouble) {
  if (trouble == trouble_) {
    return;
  }
  trouble_ = trouble;
  if (!trouble.empty()) {
    log_warning("watching leases: {}", trouble);
  }
  if (on_state_) {
    on_state_(trouble);
  }
}

}  // namespace flannel
