#include "cni/protocol/fields.h"

#include <boost/json/serialize.hpp>

#include "cni/protocol/error.h"
#include "network/backend_options.h"
#include "network/json_document.h"

namespace flannel::cni {
namespace {

const json::object kNoFields;
const json::array kNoItems;

}  // namespace

const json::value* Fields::find(std::string_view name) const {
  return find_field(*object_, name);
}

void Fields::refuse(std::string_view name, const json::value& value,
                    std::string_view wanted) const {
  throw_error(Code::invalid_config, "{}{} {}: not {}", where_, name, json::serialize(value),
              wanted);
}

std::optional<std::string> Fields::text(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_string()) {
    refuse(name, *value, "a string");
  }
  return std::string(value->get_string());
}

std::optional<bool> Fields::flag(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_bool()) {
    refuse(name, *value, "true or false");
  }
  return value->get_bool();
}

std::optional<std::int64_t> Fields::number(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  boost::system::error_code error;
  const std::int64_t number = value->to_number<std::int64_t>(error);
  if (error) {
    refuse(name, *value, "a whole number");
  }
  return number;
}

std::optional<IpAddr> Fields::address(std::string_view name) const {
  const std::optional<std::string> value = text(name);
  if (!value || value->empty()) {
    return std::nullopt;
  }
  const Result<IpAddr> address = IpAddr::parse(*value);
  if (!address) {
    refuse(name, *find(name), "an IP address");
  }
  return *address;
}

std::optional<Prefix> Fields::prefix(std::string_view name) const {
  const std::optional<std::string> value = text(name);
  if (!value) {
    return std::nullopt;
  }
  const Result<Prefix> prefix = Prefix::parse(*value);
  if (!prefix) {
    throw_error(Code::invalid_config, "{}{}: {}", where_, name, prefix.error().text);
  }
  return *prefix;
}

std::vector<std::string> Fields::texts(std::string_view name) const {
  std::vector<std::string> out;
  for (const json::value& item : array(name)) {
    if (!item.is_string()) {
      refuse(name, item, "a string");
    }
    out.emplace_back(item.get_string());
  }
  return out;
}

const json::array& Fields::array(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) {
    return kNoItems;
  }
  if (!value->is_array()) {
    refuse(name, *value, "a list");
  }
  return value->get_array();
}

Fields Fields::object(std::string_view name) const {
  const json::value* value = find(name);
  if (value != nullptr && !value->is_object()) {
    refuse(name, *value, "an object");
  }
  return Fields(value == nullptr ? kNoFields : value->get_object(),
                where_ + std::string(name) + ".");
}

std::vector<Fields> Fields::objects(std::string_view name) const {
  std::vector<Fields> out;
  for (const json::value& item : array(name)) {
    if (!item.is_object()) {
      refuse(name, item, "an object");
    }
    out.emplace_back(item.get_object(), where_ + std::string(name) + ".");
  }
  return out;
}

json::object parse_json_object(std::string_view text, std::string_view what) {
  Result<json::value> document = parse_json(text, what);
  if (!document) {
    throw CniError(Code::decoding_failure, document.error().text);
  }
  if (!document->is_object()) {
    throw_error(Code::decoding_failure, "{}: not a JSON object", what);
  }
  return std::move(document->get_object());
}

}  // namespace flannel::cni
