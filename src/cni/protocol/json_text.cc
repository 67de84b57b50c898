#include "cni/protocol/json_text.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <vector>

namespace flannel::cni {

namespace json = boost::json;

namespace {

void print(const json::value& value, std::string indent, std::string& out) {
  const auto print_items = [&](const auto& items, char open, char close, const auto& item) {
    if (items.empty()) {
      out.append({open, close});
      return;
    }
    out.push_back(open);
    const std::string inner = indent + "    ";
    bool first = true;
    for (const auto& each : items) {
      out.append(first ? "\n" : ",\n").append(inner);
      first = false;
      item(each, inner);
    }
    out.append("\n").append(indent).push_back(close);
  };
  if (value.is_object()) {
    print_items(value.get_object(), '{', '}',
                [&](const json::key_value_pair& field, const auto& in) {
                  out.append(json::serialize(json::string(field.key()))).append(": ");
                  print(field.value(), in, out);
                });
  } else if (value.is_array()) {
    print_items(value.get_array(), '[', ']',
                [&](const json::value& item, const auto& in) { print(item, in, out); });
  } else {
    out.append(json::serialize(value));
  }
}

}  // namespace

json::value sort_fields(const json::value& value) {
  if (value.is_array()) {
    json::array out;
    for (const json::value& item : value.get_array()) {
      out.push_back(sort_fields(item));
    }
    return out;
  }
  if (!value.is_object()) {
    return value;
  }
  std::vector<const json::key_value_pair*> fields;
  for (const json::key_value_pair& field : value.get_object()) {
    fields.push_back(&field);
  }
  std::sort(fields.begin(), fields.end(),
            [](const auto* a, const auto* b) { return a->key() < b->key(); });
  json::object out;
  for (const json::key_value_pair* field : fields) {
    out.emplace(field->key(), sort_fields(field->value()));
  }
  return out;
}

std::string pretty_print(const json::value& value) {
  std::string out;
  print(value, "", out);
  return out;
}

}  // namespace flannel::cni
