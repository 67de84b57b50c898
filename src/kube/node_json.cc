#include "kube/node_json.h"

#include <fmt/core.h>

#include <boost/json.hpp>
#include <stdexcept>

namespace flannel {
namespace {

namespace json = boost::json;

[[noreturn]] void malformed(const char* what) {
  throw std::runtime_error(fmt::format("the API server sent a malformed {}", what));
}

json::value read_document(std::string_view text, const char* what) {
  boost::system::error_code error;
  json::value document = json::parse({text.data(), text.size()}, error);
  if (error || !document.is_object()) {
    malformed(what);
  }
  return document;
}

// Absent and null are empty, as in Go.
std::string text_of(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || value->is_null()) {
    return "";
  }
  const json::string* const text = value->if_string();
  if (text == nullptr) {
    malformed("field of a Node");
  }
  return {text->data(), text->size()};
}

std::string short_text_of(const json::object& object, std::string_view name) {
  std::string text = text_of(object, name);
  if (text.size() > kMostNodeName) {
    malformed("name, UID or version");
  }
  return text;
}

const json::object& object_of(const json::object& object, std::string_view name) {
  static const json::object kNone;
  const json::value* const value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || value->is_null()) {
    return kNone;
  }
  if (!value->is_object()) {
    malformed("field of a Node");
  }
  return value->get_object();
}

const json::array& array_of(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const json::value* const value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || value->is_null()) {
    return kNone;
  }
  if (!value->is_array()) {
    malformed("field of a Node");
  }
  return value->get_array();
}

void read_spec(const json::object& spec, NodeObject& node) {
  for (const json::value& cidr : array_of(spec, "podCIDRs")) {
    if (!cidr.is_string()) {
      malformed("podCIDR");
    }
    node.pod_cidrs.emplace_back(cidr.get_string());
  }
  std::string single = text_of(spec, "podCIDR");
  if (node.pod_cidrs.empty() && !single.empty()) {
    node.pod_cidrs = {std::move(single)};
  }
}

NodeObject read_node(const json::value& value, std::string_view prefix, bool whole) {
  const json::object* const object = value.if_object();
  if (object == nullptr) {
    malformed("Node");
  }
  NodeObject node{.whole = whole};
  const json::object& metadata = object_of(*object, "metadata");
  node.name = short_text_of(metadata, "name");
  node.uid = short_text_of(metadata, "uid");
  node.version = short_text_of(metadata, "resourceVersion");
  for (const json::key_value_pair& annotation : object_of(metadata, "annotations")) {
    const std::string_view key(annotation.key().data(), annotation.key().size());
    if (key.starts_with(prefix)) {
      if (!annotation.value().is_string()) {
        malformed("annotation");
      }
      node.annotations.insert_or_assign(std::string(key.substr(prefix.size())),
                                        std::string(annotation.value().get_string()));
    }
  }
  if (!whole) {
    return node;
  }
  read_spec(object_of(*object, "spec"), node);
  for (const json::value& each : array_of(object_of(*object, "status"), "conditions")) {
    const json::object* const condition = each.if_object();
    if (condition != nullptr && text_of(*condition, "type") == "NetworkUnavailable") {
      node.network_unavailable = text_of(*condition, "status");
    }
  }
  return node;
}

// Items of a list have no kind of their own.
bool is_whole(const json::value& value) {
  const json::object* const object = value.if_object();
  if (object == nullptr) {
    malformed("Node");
  }
  const std::string kind = text_of(*object, "kind");
  if (kind != "Node" && kind != "PartialObjectMetadata") {
    malformed("Node");
  }
  return kind == "Node";
}

}  // namespace

NodeObject parse_node(std::string_view text, std::string_view prefix) {
  const json::value document = read_document(text, "Node");
  return read_node(document, prefix, is_whole(document));
}

NodeEvent parse_node_event(std::string_view text, std::string_view prefix) {
  const json::value document = read_document(text, "WatchEvent");
  const json::object& object = document.get_object();
  NodeEvent event;
  event.type = parse_event_type(text_of(object, "type"));
  const json::value* const node = object.if_contains("object");
  if (node == nullptr) {
    malformed("WatchEvent");
  }
  if (event.type == NodeEvent::Type::error) {
    event.status = parse_api_status(json::serialize(*node)).value_or(ApiStatus());
  } else if (event.type != NodeEvent::Type::unknown) {
    event.node = read_node(*node, prefix, is_whole(*node));
  }
  return event;
}

NodeListPage parse_node_list(std::string_view text, std::string_view prefix) {
  const json::value document = read_document(text, "NodeList");
  const json::object& object = document.get_object();
  if (text_of(object, "kind") != "NodeList") {
    malformed("NodeList");
  }
  NodeListPage page;
  const json::object& metadata = object_of(object, "metadata");
  page.version = short_text_of(metadata, "resourceVersion");
  page.more = text_of(metadata, "continue");
  for (const json::value& item : array_of(object, "items")) {
    page.nodes.push_back(read_node(item, prefix, true));
  }
  return page;
}

}  // namespace flannel
