// Following the leases in etcd, whatever happens to the connection.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "store/etcd_client.h"
#include "store/etcd_entry.h"
#include "store/own_key.h"
#include "store/store.h"

namespace flannel {

// A list, then the watch from there. A broken stream is opened again from the last event seen,
// after a Backoff. A new list comes where history is missing: compacted, or the store is another
// one than before (restored from a backup, or wiped and filled again): revision or term went back,
// the cluster's ID changed, or it has not the event that we saw last. That one is asked for again
// as well, since all numbers may have passed those we know by the time we are back.
inline constexpr std::chrono::seconds kMostEtcdWait{1};

class EtcdWatch : public LeaseWatch {
 public:
  // What keeps us from the store, one sentence; empty when all is well again.
  using OnState = std::function<void(const std::string&)>;

  EtcdWatch(EtcdClient& client, EtcdLayout layout, OwnKey& own, OnState on_state)
      : client_(client), layout_(std::move(layout)), own_(own), on_state_(std::move(on_state)) {}

  // Throws only when cancelled.
  Task<std::optional<LeaseUpdate>> next(Deadline deadline) override;

 private:
  using Clock = std::chrono::steady_clock;

  Task<LeaseUpdate> try_next(Deadline deadline);
  Task<LeaseUpdate> list();
  Task<void> open();
  class Listing;
  // What one message of the stream says.
  struct Message {
    explicit Message(const EtcdLayout& layout) : events(layout) {}

    etcd::WatchResponse response;
    bool has_newest = false;  // the event that newest_revision_ is of
    // Of the events that are new: the changes, what became of our own key, and the last one.
    EventReader events;
    std::optional<OwnEntry> own;
    std::string last_key;
    std::int64_t last_revision = 0;
  };

  Task<Message> read(Deadline deadline);
  void take_event(Message& message, const etcd::Event& event) const;
  std::string lost_history(const Message& message) const;
  void follow(const Message& message);
  Clock::duration failed(const std::string& reason);
  void set_trouble(const std::string& trouble);

  EtcdClient& client_;
  EtcdLayout layout_;
  OwnKey& own_;
  OnState on_state_;
  std::optional<GrpcStream> stream_;
  Clock::time_point began_;         // the attempt that stream_ is, or will be
  bool following_ = false;          // stream_ has answered
  std::int64_t next_revision_ = 0;  // the first not seen yet; 0: list first
  etcd::ResponseHeader seen_;       // of the list or the last watch response
  // The newest change of a lease that we know of.
  std::string newest_key_;
  std::int64_t newest_revision_ = 0;
  bool recognised_ = false;  // the open stream has it as well, or was not asked
  Backoff backoff_{std::chrono::milliseconds(100), kMostEtcdWait};
  std::string trouble_;
};

}  // namespace flannel
