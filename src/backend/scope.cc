#include "backend/scope.h"

#include "base/hash.h"

namespace flannel {

Scope make_scope(const NetworkConfig& network, const Backend& backend) {
  Scope scope;
  scope.links = backend.links(network);
  scope.alias = "flannel";
  for (const Family family : {Family::v4, Family::v6}) {
    if (const std::optional<FamilyConfig>& config = network.family(family)) {
      scope.networks.push_back(config->network);
      scope.alias += " " + config->network.to_text();
    }
  }
  std::string identity = scope.alias;
  for (const Dev& link : scope.links) {
    identity += fmt::format(" {}", link.text());
  }
  // One of 4095 ranges; the lowest is left to programs that count from 1.
  const std::uint64_t range = stable_hash(identity) % (0xffffffffU / kNexthopIds);
  scope.first_nexthop = static_cast<std::uint32_t>(range + 1) * kNexthopIds;
  return scope;
}

}  // namespace flannel
