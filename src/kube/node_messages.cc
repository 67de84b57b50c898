#include "kube/node_messages.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/printable.h"
#include "kube/protobuf_object.h"
#include "rpc/protobuf.h"

namespace flannel {
namespace {

using protobuf::bytes;
using protozero::pbf_reader;

// Of all annotations of an object together (k8s.io/apimachinery, TotalAnnotationSizeLimitB).
constexpr std::size_t kMostNodeText = 256 << 10;
constexpr std::size_t kMostPodCidrs = 16;
constexpr std::size_t kMostContinue = 8 << 10;

template <class Field>
void each_field(std::string_view message, std::string_view view, const Field& field) {
  protobuf::each_field(kApiServer, message, view, field);
}

// The first two fields, which are texts: an annotation's key and value, a condition's type and
// status.
std::pair<std::string_view, std::string_view> read_pair(std::string_view message,
                                                        std::string_view view) {
  std::pair<std::string_view, std::string_view> out;
  each_field(message, view, [&](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        out.first = protobuf::view_of(reader);
        break;
      case bytes(2):
        out.second = protobuf::view_of(reader);
        break;
      default:
        reader.skip();
    }
  });
  return out;
}

// Calls `take` with the name, without the prefix, and the value of one of ours.
template <class Take>
void read_annotation(std::string_view view, std::string_view prefix, const Take& take) {
  const auto [key, value] = read_pair("annotation", view);
  if (!key.starts_with(prefix)) {
    return;
  }
  if (key.size() > kMostNodeName || value.size() > kMostNodeText) {
    throw std::runtime_error(
        fmt::format("{} sent an annotation of {} bytes", kApiServer, key.size() + value.size()));
  }
  take(key.substr(prefix.size()), value);
}

// Into a NodeObject or NodeDigest.
template <class Node, class Take>
void read_metadata(std::string_view view, std::string_view prefix, Node& node,
                   const Take& take_annotation) {
  each_field("ObjectMeta", view, [&](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        node.name = short_text(reader, "name");
        break;
      case bytes(5):
        node.uid = short_text(reader, "uid");
        break;
      case bytes(6):
        node.version = short_text(reader, "resourceVersion");
        break;
      case bytes(12):
        read_annotation(protobuf::view_of(reader), prefix, take_annotation);
        break;
      default:
        reader.skip();
    }
  });
}

void read_spec(std::string_view view, NodeObject& node) {
  std::string single;
  each_field("NodeSpec", view, [&](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        single = short_text(reader, "podCIDR");
        break;
      case bytes(7):
        if (node.pod_cidrs.size() == kMostPodCidrs) {
          throw std::runtime_error(fmt::format("{} sent too many podCIDRs", kApiServer));
        }
        node.pod_cidrs.emplace_back(short_text(reader, "podCIDR"));
        break;
      default:
        reader.skip();
    }
  });
  if (node.pod_cidrs.empty() && !single.empty()) {
    node.pod_cidrs = {std::move(single)};
  }
}

void read_status(std::string_view view, NodeObject& node) {
  each_field("NodeStatus", view, [&](pbf_reader& reader) {
    if (reader.tag_and_type() == bytes(4)) {
      const auto [type, status] = read_pair("NodeCondition", protobuf::view_of(reader));
      if (type == "NetworkUnavailable") {
        node.network_unavailable = status.substr(0, kMostNodeName);
      }
    } else {
      reader.skip();
    }
  });
}

// Of PartialObjectMetadata there is the first field alone.
void read_fields(std::string_view view, std::string_view prefix, bool whole, NodeObject& node) {
  each_field("Node", view, [&](pbf_reader& reader) {
    const std::uint32_t tag = reader.tag_and_type();
    if (tag == bytes(1)) {
      read_metadata(protobuf::view_of(reader), prefix, node,
                    [&](std::string_view name, std::string_view value) {
                      node.annotations.insert_or_assign(std::string(name), std::string(value));
                    });
    } else if (tag == bytes(2) && whole) {
      read_spec(protobuf::view_of(reader), node);
    } else if (tag == bytes(3) && whole) {
      read_status(protobuf::view_of(reader), node);
    } else {
      reader.skip();
    }
  });
}

// Its name is the first of its fields, so that it is mostly known where the rest makes no sense.
NodeObject read_node(std::string_view view, std::string_view prefix, bool whole) {
  NodeObject node{.whole = whole};
  try {
    read_fields(view, prefix, whole, node);
  } catch (const std::runtime_error& error) {
    if (node.name.empty()) {
      throw;
    }
    throw std::runtime_error(fmt::format("Node \"{}\": {}", printable(node.name), error.what()));
  }
  return node;
}

[[noreturn]] void throw_kind(std::string_view kind, std::string_view wanted) {
  throw std::runtime_error(
      fmt::format("{} sent no {}, but \"{}\"", kApiServer, wanted, printable(kind)));
}

struct WatchEvent {
  NodeEvent::Type type = NodeEvent::Type::unknown;
  std::string_view object;
};

WatchEvent read_event(std::string_view view) {
  WatchEvent event;
  each_field("WatchEvent", view, [&](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        event.type = parse_event_type(protobuf::view_of(reader));
        break;
      case bytes(2):  // RawExtension
        each_field("RawExtension", protobuf::view_of(reader), [&](pbf_reader& raw) {
          if (raw.tag_and_type() == bytes(1)) {
            event.object = protobuf::view_of(raw);
          } else {
            raw.skip();
          }
        });
        break;
      default:
        reader.skip();
    }
  });
  return event;
}

}  // namespace

NodeEvent::Type parse_event_type(std::string_view text) {
  using Type = NodeEvent::Type;
  return text == "ADDED"      ? Type::added
         : text == "MODIFIED" ? Type::modified
         : text == "DELETED"  ? Type::deleted
         : text == "BOOKMARK" ? Type::bookmark
         : text == "ERROR"    ? Type::error
                              : Type::unknown;
}

NodeObject decode_node(std::string_view view, std::string_view prefix) {
  const ProtobufObject object = decode_protobuf_object(view);
  const bool whole = object.kind == "Node";
  if (!whole && object.kind != "PartialObjectMetadata") {
    throw_kind(object.kind, "Node");
  }
  return read_node(object.raw, prefix, whole);
}

NodeEvent decode_node_event(std::string_view view, std::string_view prefix) {
  const auto [type, object] = read_event(view);
  NodeEvent event{.type = type, .node = {}, .status = {}};
  if (type == NodeEvent::Type::error) {
    event.status = parse_api_status(object).value_or(ApiStatus());
  } else if (type != NodeEvent::Type::unknown) {
    event.node = decode_node(object, prefix);
  }
  return event;
}

std::optional<NodeDigest> decode_change(std::string_view view, std::string_view prefix) {
  const auto [type, bytes_of_object] = read_event(view);
  if (type != NodeEvent::Type::modified) {
    return std::nullopt;
  }
  const ProtobufObject object = decode_protobuf_object(bytes_of_object);
  if (object.kind != "PartialObjectMetadata") {
    return std::nullopt;
  }
  NodeDigest node;
  each_field("Node", object.raw, [&](pbf_reader& reader) {
    if (reader.tag_and_type() == bytes(1)) {
      read_metadata(protobuf::view_of(reader), prefix, node,
                    [&](std::string_view name, std::string_view value) {
                      node.annotations += annotation_digest(name, value);
                    });
    } else {
      reader.skip();
    }
  });
  return node;
}

NodeListDecoder::NodeListDecoder(std::string prefix, OnNode on_node)
    : prefix_(std::move(prefix)),
      on_node_(std::move(on_node)),
      envelope_(kApiServer, "Unknown", kMostNodeName,
                [this](const protobuf::FieldStream::Field& field) { take_envelope(field); }),
      list_(kApiServer, "NodeList", kMostNodeBytes,
            [this](const protobuf::FieldStream::Field& field) { take_list(field); }) {
  envelope_.descend(bytes(2), [this](std::string_view part) { list_.feed(part); });
}

void NodeListDecoder::feed(std::string_view part) {
  const std::size_t missing = std::min(kProtobufMagic.size() - magic_.size(), part.size());
  magic_ += part.substr(0, missing);
  if (!kProtobufMagic.starts_with(magic_)) {
    throw std::runtime_error(fmt::format("{} sent a list that is no protobuf", kApiServer));
  }
  envelope_.feed(part.substr(missing));
}

void NodeListDecoder::finish() const {
  if (magic_ != kProtobufMagic) {
    throw std::runtime_error(fmt::format("{} sent an incomplete list", kApiServer));
  }
  envelope_.finish();
  list_.finish();
  if (kind_ != "NodeList") {
    throw_kind(kind_, "NodeList");
  }
  if (version_.empty()) {  // it is the list's first field
    throw std::runtime_error(fmt::format("{} sent a list without a version", kApiServer));
  }
}

void NodeListDecoder::take_envelope(const protobuf::FieldStream::Field& field) {
  if (field.tag_and_type == bytes(1)) {
    kind_ = decode_kind(field.bytes);
  }
}

void NodeListDecoder::take_list(const protobuf::FieldStream::Field& field) {
  if (field.cut) {
    throw std::runtime_error(
        fmt::format("{} sent a Node of over {} MB", kApiServer, kMostNodeBytes >> 20));
  }
  if (field.tag_and_type == bytes(2)) {
    on_node_(read_node(field.bytes, prefix_, true));
  } else if (field.tag_and_type == bytes(1)) {
    each_field("ListMeta", field.bytes, [this](pbf_reader& reader) {
      switch (reader.tag_and_type()) {
        case bytes(2):
          version_ = short_text(reader, "resourceVersion");
          break;
        case bytes(3):
          more_ = short_text(reader, "continue", kMostContinue);
          break;
        default:
          reader.skip();
      }
    });
  }
}

}  // namespace flannel
