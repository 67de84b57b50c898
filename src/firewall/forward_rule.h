// What a rule of anybody's means for the forwarded packets of pods, as far as can be seen.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "kernel/dev.h"

namespace flannel {

// By what rules may name packets of pods.
struct PodPackets {
  std::span<const Prefix> networks;  // of the overlay
  std::span<const Dev> devices;      // that they come and go by
  std::string_view our_chain;        // of iptables, that accepts them

  bool lie_in(const Prefix& named) const {
    return std::ranges::any_of(networks,
                               [&](const Prefix& network) { return named.contains(network); });
  }
  bool pass(std::string_view device) const {
    return std::ranges::any_of(devices, [&](const Dev& each) { return each.text() == device; });
  }
};

struct ForwardRule {
  bool of_chain = false;  // that is looked at, not of another of its table
  bool drops_all = false;
  bool jumps_to_us = false;
  bool names_pods = false;  // and is not ours
};

// Whether a chain with these rules, and those of its table, drops packets of pods. One that names
// them may well accept them.
inline bool may_drop(std::span<const ForwardRule> rules, bool policy_drops) {
  if (std::ranges::any_of(rules, &ForwardRule::names_pods)) {
    return false;
  }
  for (const ForwardRule& rule : rules) {
    if (rule.of_chain && (rule.jumps_to_us || rule.drops_all)) {
      return rule.drops_all;
    }
  }
  return policy_drops;
}

}  // namespace flannel
