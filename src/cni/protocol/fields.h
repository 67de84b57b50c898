// The fields of a JSON object as Go's encoding/json reads them into a struct: names match without
// regard to case, null counts as absent, unknown ones are ignored.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace flannel::cni {

namespace json = boost::json;

// Every function throws CniError (invalid_config), naming the field and its value, where the field
// has another type than the one asked for.
class Fields {
 public:
  // `where` is the path for messages: empty, or `ipam.`. Valid as long as `object`.
  explicit Fields(const json::object& object, std::string where = {})
      : object_(&object), where_(std::move(where)) {}

  // Null where there is none.
  const json::value* find(std::string_view name) const;

  std::optional<std::string> text(std::string_view name) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<std::int64_t> number(std::string_view name) const;
  // An address, or empty text for none.
  std::optional<IpAddr> address(std::string_view name) const;
  // An address with a length, host bits kept.
  std::optional<Prefix> prefix(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  // Empty where there is none.
  const json::array& array(std::string_view name) const;
  // Fields of an object within; without any where there is none.
  Fields object(std::string_view name) const;
  // Fields of each object of an array.
  std::vector<Fields> objects(std::string_view name) const;

 private:
  [[noreturn]] void refuse(std::string_view name, const json::value& value,
                           std::string_view wanted) const;

  const json::object* object_;
  std::string where_;
};

// The object that a JSON text is; throws CniError (decoding_failure) naming `what`.
json::object parse_json_object(std::string_view text, std::string_view what);

}  // namespace flannel::cni
