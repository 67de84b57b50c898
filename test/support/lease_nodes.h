// Nodes of Kubernetes that say what a lease does.
#pragma once

#include <optional>
#include <string>

#include "kube/node_annotations.h"
#include "kube/node_object.h"
#include "network/lease.h"

namespace flannel {

inline NodeObject node_of_lease(const std::string& name, const Lease& lease) {
  NodeObject node{.name = name};
  for (const Family family : kFamilies) {
    if (const std::optional<Prefix>& subnet = lease.key.family(family)) {
      node.pod_cidrs.push_back(subnet->to_text());
    }
  }
  const AnnotationChanges annotations = changes_to(lease.attrs, {}).value();
  for (const auto& [annotation, text] : annotations) {
    if (text) {
      node.annotations[annotation] = *text;
    }
  }
  // Written only by who has data of that family to say.
  if (lease.attrs.public_ipv6) {
    node.annotations["public-ipv6"] = lease.attrs.public_ipv6->to_text();
  }
  return node;
}

// Nothing where the Node is no peer.
inline std::optional<Lease> lease_of_node(const NodeObject& node) {
  const Result<LeaseKey> subnets = subnets_of(node);
  const Result<LeaseAttrs> attrs = attrs_of(node.annotations);
  if (!is_managed(node.annotations) || !subnets || *subnets == LeaseKey() || !attrs) {
    return std::nullopt;
  }
  return Lease{*subnets, *attrs, std::nullopt};
}

}  // namespace flannel
