// What became of peers since somebody looked last, who then needs not look at all of them.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "network/peers.h"

namespace flannel {

class PeerChanges {
 public:
  void add(const PeersDelta& delta);
  // Anything may have changed.
  void add_all();
  void clear();

  // Of few peers it is known what they were; otherwise the two below say nothing.
  bool all() const { return all_; }
  // Those that left or changed, as they were usable at the last clear().
  std::vector<const Lease*> gone() const;
  // Those that came or changed, as they are usable in `peers`, which all changes were of.
  std::vector<const Lease*> come(const Peers& peers) const;

 private:
  bool all_ = true;  // nobody has looked yet
  std::map<LeaseKey, std::optional<Lease>> was_;
};

}  // namespace flannel
