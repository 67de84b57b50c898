// Keeps the last known state on the disk, for a start without the store.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <string>

#include "base/backoff.h"
#include "base/task.h"
#include "base/wake.h"
#include "network/peer_changes.h"
#include "store/last_known_state.h"

namespace flannel {

class StateWriter {
 public:
  struct Timing {
    // From a change to the file: many changes are written together.
    std::chrono::milliseconds delay{5'000};
    // From a write that failed to the next, which is of everything.
    Backoff retries{std::chrono::milliseconds(5'000), std::chrono::milliseconds(300'000)};
    // How long a clean end waits for the disk.
    std::chrono::milliseconds last_write{5'000};
  };
  // What is written, as it is at any moment.
  struct Inputs {
    const std::string& config;
    const Lease& own;
    const Peers& peers;
  };

  // `inputs` outlive this object.
  StateWriter(const asio::any_io_executor& executor, LastKnownStateFile file, Inputs inputs,
              Timing timing);

  // The inputs are what the store says, or said last: changes are written from now on.
  void begin() { begun_ = true; }
  // The inputs changed.
  void changed();
  void peers_changed(const PeersDelta& delta);

  // Why it cannot be written; empty where it can.
  const std::string& trouble() const { return trouble_; }

  // Writes what changes, until cancelled.
  Task<void> run();
  // At a clean end, in place of run(): what it would have written in a moment is not lost.
  void write_last();

 private:
  LastKnownState state(bool all) const;
  Task<Result<void>> write_unwritten() const;
  void set_trouble(const std::string& trouble);

  const LastKnownStateFile file_;
  const Inputs inputs_;
  const Timing timing_;
  Wake changed_;
  PeerChanges unwritten_;      // what the file does not have yet
  asio::thread_pool disk_{1};  // so that no disk holds the loop up
  std::string trouble_;
  bool begun_ = false;
};

}  // namespace flannel
