#include "daemon/fallback_state.h"

#include "backend/backend.h"
#include "base/log.h"
#include "base/utc_text.h"

namespace flannel {

// Another version of the program may have written it.
bool FallbackState::is_usable(const LastKnownState& state) const {
  const Result<NetworkConfig> config = store_.parse_config(state.config);
  return config && make_backend(*config);
}

bool FallbackState::begin(const std::string& cause) {
  if (!file_ || ended_) {
    return false;
  }
  Result<LastKnownState> read = file_->read();
  if (!read || !is_usable(*read)) {
    return false;
  }
  log_warning("going on from the last known state of {}", utc_text(read->time));
  state_ = std::move(*read);
  cause_ = cause;
  return true;
}

std::optional<Lease> FallbackState::own_lease(const LeaseAttrs& announcement) const {
  Lease lease = state_->own;
  if (lease.attrs.public_ip != announcement.public_ip ||
      lease.attrs.public_ipv6 != announcement.public_ipv6) {
    log_warning("our addresses are not those of the last known state: waiting for the store");
    return std::nullopt;
  }
  lease.attrs = announcement;
  return lease;
}

void FallbackState::end() {
  state_.reset();
  ended_ = true;
}

}  // namespace flannel
