// What a Node's annotations say of its lease, and back: docs/formats.md, "Annotations".
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/node_object.h"
#include "network/lease.h"
#include "store/store.h"

namespace flannel {

// Whether the node says that it takes part: `kube-subnet-manager` is `true`.
bool is_managed(const Annotations& annotations);

// Error: which annotation is none. One that is not there is not an error, and neither is data that
// says `null`.
Result<LeaseAttrs> attrs_of(const Annotations& annotations);

// The node's subnets; none where it has no podCIDR yet. Error: a podCIDR that is none, or two of a
// family.
Result<LeaseKey> subnets_of(const NodeObject& node);

// What the annotations of our own node say to us: node-public-ip and node-public-ipv6, and what
// was published before. Error: an address that is none.
Result<NodeFacts> facts_of(const Annotations& annotations);

// Annotations to be written, or removed where there is no value.
using AnnotationChanges = std::map<std::string, std::optional<std::string>>;

// What has to change of our own node's annotations so that they say `attrs`; public-ip-overwrite
// and public-ipv6-overwrite count instead of the addresses. Error: an overwrite that is none.
Result<AnnotationChanges> changes_to(const LeaseAttrs& attrs, const Annotations& present);

// Bodies for PATCH (strategic merge) of a Node's status.
std::string annotations_patch(const AnnotationChanges& changes, std::string_view prefix);
// The condition NetworkUnavailable, False as of `now`.
std::string network_available_patch(std::chrono::system_clock::time_point now);

}  // namespace flannel
