// What we use of a Node of Kubernetes, in whatever form the API server sent it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "kube/api_error.h"

namespace flannel {

// By their names without our prefix.
using Annotations = std::map<std::string, std::string, std::less<>>;

struct NodeObject {
  std::string name;
  std::string uid;      // another one than before: the Node was deleted and made again
  std::string version;  // metadata.resourceVersion
  // Nothing of what follows but the annotations is known of PartialObjectMetadata.
  bool whole = false;
  std::vector<std::string> pod_cidrs;  // spec.podCIDRs, else spec.podCIDR
  // The status of the condition NetworkUnavailable: `True`, `False`, `Unknown`.
  std::optional<std::string> network_unavailable;
  Annotations annotations;  // ours alone
  bool operator==(const NodeObject&) const = default;
};

// The sum of these over all annotations tells what a Node says from what it said before, in
// whatever order they come.
constexpr std::uint64_t annotation_digest(std::string_view name, std::string_view value) {
  return (stable_hash(name) | 1) * stable_hash(value);
}

// Of metadata that need not be kept, in the bytes that came.
struct NodeDigest {
  std::string_view name, uid, version;
  std::uint64_t annotations = 0;  // the sum of annotation_digest()
};

struct NodeEvent {
  enum class Type { added, modified, deleted, bookmark, error, unknown };
  Type type = Type::unknown;
  NodeObject node;   // of a bookmark the version alone
  ApiStatus status;  // of an error
  bool operator==(const NodeEvent&) const = default;
};

// `ADDED`, …
NodeEvent::Type parse_event_type(std::string_view text);

// Longer names, UIDs and versions are none that an API server gives (253 characters, a UUID, a
// number); etcd does not take a longer object.
inline constexpr std::size_t kMostNodeName = 1'000;
inline constexpr std::size_t kMostNodeBytes = 8 << 20;

}  // namespace flannel
