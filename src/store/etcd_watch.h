// Following the leases in etcd, whatever happens to the connection.
#pragma once

#include <optional>
#include <string>

#include "rpc/least_rate.h"
#include "store/config_key.h"
#include "store/etcd_client.h"
#include "store/etcd_entry.h"
#include "store/own_key.h"
#include "store/store.h"
#include "store/watch_attempts.h"

namespace flannel {

// A list, then the watch from there. A broken stream is opened again from the last event seen,
// as WatchAttempts has it. A new list comes where history is missing: compacted, or the store is
// another one than before (restored from a backup, or wiped and filled again): revision or term
// went back, the cluster's ID changed, or it has not the event that we saw last. That one is asked
// for again as well, since all numbers may have passed those we know by the time we are back. So it
// does where what follows a revision cannot be read for the second time.
//
// The key of the network configuration is a second watch in the same stream, asked for when the
// first is answered: a role may have either key without the other.
class EtcdWatch : public LeaseWatch {
 public:
  EtcdWatch(EtcdClient& client, EtcdLayout layout, OwnKey& own, ConfigKey& config,
            WatchAttempts::OnTrouble on_trouble, LeastRate least_rate)
      : client_(client),
        layout_(std::move(layout)),
        own_(own),
        config_(config),
        least_rate_(least_rate),
        attempts_(std::move(on_trouble)) {}

  // Throws only when cancelled.
  Task<std::optional<LeaseUpdate>> next(Deadline deadline) override;

 private:
  using Clock = WatchAttempts::Clock;

  Task<LeaseUpdate> try_next(Deadline deadline);
  Task<LeaseUpdate> list();
  Task<void> open();
  class Listing;
  // What one message of the stream says.
  struct Message {
    explicit Message(const EtcdLayout& layout) : events(layout) {}

    etcd::WatchResponse response;
    bool has_config = false;  // an event of its key
    bool has_newest = false;  // the event that newest_revision_ is of
    // Of the events that are new: the changes, what became of our own key, and the last one.
    EventReader events;
    std::optional<OwnEntry> own;
    std::string last_key;
    std::int64_t last_revision = 0;
  };

  Task<Message> read(Deadline deadline);
  Task<std::string> read_part(Progress& progress);
  void take_event(Message& message, const etcd::Event& event) const;
  bool is_of_config(const Message& message) const;
  void watch_config(std::int64_t revision);
  void follow_config(const Message& message);
  std::string lost_history(const Message& message) const;
  void follow(const Message& message);

  EtcdClient& client_;
  EtcdLayout layout_;
  OwnKey& own_;
  ConfigKey& config_;
  const LeastRate least_rate_;  // of a message
  WatchAttempts attempts_;      // connected: stream_ has answered
  std::optional<GrpcStream> stream_;
  std::int64_t next_revision_ = 0;  // the first not seen yet; 0: list first
  etcd::ResponseHeader seen_;       // of the list or the last watch response
  // The newest change of a lease that we know of.
  std::string newest_key_;
  std::int64_t newest_revision_ = 0;
  bool recognised_ = false;  // the open stream has it as well, or was not asked
};

}  // namespace flannel
