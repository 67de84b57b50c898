#include "network/peer_changes.h"

namespace flannel {

void PeerChanges::add(const PeersDelta& delta) {
  if (delta.all || was_.size() + delta.changes.size() > kFewChanges) {
    add_all();
  }
  for (const PeersDelta::Change& change : delta.changes) {
    if (!all_) {
      was_.try_emplace(change.key, change.was);
    }
  }
}

void PeerChanges::add_all() {
  all_ = true;
  was_.clear();
}

void PeerChanges::clear() {
  all_ = false;
  was_.clear();
}

std::vector<const Lease*> PeerChanges::gone() const {
  std::vector<const Lease*> leases;
  for (const auto& [key, was] : was_) {
    if (was) {
      leases.push_back(&*was);
    }
  }
  return leases;
}

std::vector<const Lease*> PeerChanges::come(const Peers& peers) const {
  std::vector<const Lease*> leases;
  for (const auto& [key, was] : was_) {
    if (const Lease* lease = peers.find_usable(key)) {
      leases.push_back(lease);
    }
  }
  return leases;
}

}  // namespace flannel
