// Nodes in protobuf, as an API server sends them: k8s.io/api core/v1, k8s.io/apimachinery meta/v1
// and runtime, generated.proto each.
//
// Decoding checks every field's type and bounds, skips what it does not know, and throws
// std::runtime_error, naming the message, where the bytes are not what they should be. `prefix` is
// that of our annotations.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "kube/node_object.h"
#include "rpc/field_stream.h"

namespace flannel {

// A Node or its PartialObjectMetadata.
NodeObject decode_node(std::string_view bytes, std::string_view prefix);

// A WatchEvent without its frame.
NodeEvent decode_node_event(std::string_view bytes, std::string_view prefix);

// Of the metadata of a Node that has been modified. Nothing where the event is another one.
std::optional<NodeDigest> decode_change(std::string_view bytes, std::string_view prefix);

// A NodeList as its bytes come, with no more in memory than one Node.
class NodeListDecoder {
 public:
  using OnNode = std::function<void(NodeObject)>;

  NodeListDecoder(std::string prefix, OnNode on_node);
  NodeListDecoder(const NodeListDecoder&) = delete;
  NodeListDecoder& operator=(const NodeListDecoder&) = delete;

  void feed(std::string_view bytes);
  // There are no more. Throws where the list is not complete.
  void finish() const;

  // As of which the list is; where there is more of it (ListMeta's continue), empty for none.
  const std::string& version() const { return version_; }
  const std::string& more() const { return more_; }

 private:
  void take_envelope(const protobuf::FieldStream::Field& field);
  void take_list(const protobuf::FieldStream::Field& field);

  std::string prefix_;
  OnNode on_node_;
  std::string magic_;  // as much of it as has come
  std::string kind_;
  std::string version_;
  std::string more_;
  protobuf::FieldStream envelope_;
  protobuf::FieldStream list_;
};

}  // namespace flannel
