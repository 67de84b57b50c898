#include "backend/scope.h"

#include "base/hash.h"

namespace flannel {

Scope make_scope(const NetworkConfig& network, const Backend& backend) {
  Scope scope;
  scope.links = backend.traits(network).links;
  for (const Family family : kFamilies) {
    if (const std::optional<FamilyConfig>& config = network.family(family)) {
      scope.networks.push_back(config->network);
    }
  }
  // The first network alone: what else is configured may change, and what is there stays ours.
  scope.alias = "flannel " + scope.networks.front().to_text();
  // One of 4095 ranges; the lowest is left to programs that count from 1.
  const std::uint64_t range = stable_hash(scope.alias) % (0xffffffffU / kNexthopIds);
  scope.first_nexthop = static_cast<std::uint32_t>(range + 1) * kNexthopIds;
  return scope;
}

}  // namespace flannel
