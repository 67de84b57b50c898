// Nodes in JSON, for an API server, or something in front of it, that has no protobuf.
//
// As in node_messages.h: std::runtime_error where a text is not what it should be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kube/node_object.h"

namespace flannel {

// A Node or its PartialObjectMetadata.
NodeObject parse_node(std::string_view json, std::string_view prefix);

// A WatchEvent: a line of the answer.
NodeEvent parse_node_event(std::string_view json, std::string_view prefix);

struct NodeListPage {
  std::vector<NodeObject> nodes;
  std::string version;
  std::string more;  // ListMeta's continue; empty: that was all
};
NodeListPage parse_node_list(std::string_view json, std::string_view prefix);

}  // namespace flannel
