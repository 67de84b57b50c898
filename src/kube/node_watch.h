// Following the leases in the Nodes of Kubernetes, whatever happens to the connection.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "kube/node_api.h"
#include "kube/node_table.h"
#include "kube/own_node.h"
#include "store/store.h"
#include "store/watch_attempts.h"

namespace flannel {

// A list of whole Nodes, then the watch of their metadata from there. A watch that ended is opened
// again from the last version seen; a new list comes where the server's history does not go back so
// far (410), and where it has said nothing for kMostSilence: after etcd was restored it may count
// from a lower number than ours on, and a watch of a version to come is silent until then.
// Otherwise there is a bookmark a minute (k8s.io/apiserver, defaultBookmarkFrequency). It also
// comes where what follows a version cannot be read for the second time.
//
// What a Node's metadata does not say is asked for, one Node a call, while the watch goes on: an
// answer may be long in coming. Where more are not known, whole Nodes are watched for a while
// instead, from before these came: the server encodes an event once for all who watch, a list for
// each.
inline constexpr std::chrono::minutes kMostSilence{3};
inline constexpr std::ptrdiff_t kMostAsked = 20;

class NodeWatch : public LeaseWatch {
 public:
  struct Timing {
    std::chrono::milliseconds most_silence = kMostSilence;
    // Between two times that Nodes are asked for: those that come meanwhile are asked for together.
    std::chrono::milliseconds collect{50};
    // How long whole Nodes are watched, and what of that is left to the server for saying what was.
    std::chrono::milliseconds whole{10'000};
    std::chrono::milliseconds replay{1'000};
  };

  // `seen` is the newest version that any watch of the store has seen; a list is no older.
  NodeWatch(std::shared_ptr<NodeApi> api, OwnNode& own, std::string& seen,
            WatchAttempts::OnTrouble on_trouble, Timing timing)
      : timing_(timing),
        api_(std::move(api)),
        own_(own),
        seen_(seen),
        attempts_(std::move(on_trouble)) {}

  // Throws only when cancelled.
  Task<std::optional<LeaseUpdate>> next(Deadline deadline) override;

 private:
  using Clock = WatchAttempts::Clock;
  class Listing;
  struct ListAgain;
  struct Inquiries;

  // As next(), and throws where the server cannot be reached, or says no.
  Task<std::optional<LeaseUpdate>> try_next(Deadline deadline);
  Task<LeaseUpdate> list();
  Task<void> open();
  void end_stream();
  bool many_are_new() const;
  Clock::time_point next_ask() const;
  // False at the deadline.
  Task<bool> read(Deadline deadline);
  bool pass_over(const NodeDigest& node);
  void take(const NodeEvent& event);
  void take_error(const ApiStatus& status);
  LeaseUpdate take_update();
  Task<void> ask();
  Task<void> ask_each(Clock::time_point now);
  bool are_answers_due() const;
  void take_answers();
  static Task<void> ask_for(std::shared_ptr<NodeApi> api, std::shared_ptr<Inquiries> inquiries,
                            std::string name, std::string version);

  // A watch that goes on.
  struct Stream {
    NodeStream events;
    bool is_whole;                 // of whole Nodes
    std::string replayed;          // it begins with what was until then; empty: it does not
    Clock::time_point last_heard;  // when it has brought an event
  };

  const Timing timing_;
  std::shared_ptr<NodeApi> api_;
  OwnNode& own_;
  std::string& seen_;
  NodeTable table_;
  bool listed_ = false;     // table_ is complete as of version_
  std::string version_;     // the last one seen
  WatchAttempts attempts_;  // connected: there is a stream_
  std::optional<Stream> stream_;
  Clock::time_point whole_until_ = Clock::time_point::min();  // whole Nodes are to be watched
  std::optional<OwnEntry> own_entry_, own_last_;              // news, and what the last event meant
  std::shared_ptr<Inquiries> inquiries_;                      // nothing before the first
  Clock::time_point ask_at_ = Clock::time_point::min();
};

}  // namespace flannel
