// What a start without the store goes by: the last known state, until the store is back.
#pragma once

#include <optional>
#include <string>

#include "store/last_known_state.h"
#include "store/store.h"

namespace flannel {

class FallbackState {
 public:
  // `file`: nothing where no state is kept. `store`, which the state was of, outlives this object.
  FallbackState(std::optional<LastKnownStateFile> file, const LeaseStore& store)
      : file_(std::move(file)), store_(store) {}

  // We go by it from now on, since the store cannot be reached: `cause` says why. False where there
  // is none that can be used, or one ended before.
  bool begin(const std::string& cause);
  // What we go by; nullptr where that is the store.
  const LastKnownState* get() const { return state_ ? &*state_ : nullptr; }
  const std::string& cause() const { return cause_; }
  // Our lease of then, with what we announce now; nothing where our addresses were others, since
  // it may not be ours any more. There is one to go by.
  std::optional<Lease> own_lease(const LeaseAttrs& announcement) const;
  // The store is back, or knows better: there will be no other.
  void end();

 private:
  bool is_usable(const LastKnownState& state) const;

  const std::optional<LastKnownStateFile> file_;
  const LeaseStore& store_;
  std::optional<LastKnownState> state_;
  std::string cause_;
  bool ended_ = false;
};

}  // namespace flannel
