// Reads the fields of a JSON object as Go's encoding/json does: names match without regard to
// case, a later duplicate wins, null leaves the default.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flannel {

// The field, or nullptr where it is missing or null.
const boost::json::value* find_field(const boost::json::object& object, std::string_view name);

// What Go ignores silently, a sentence each: `Backend.Vin is not known; did you mean Backend.VNI?`.
// `where` stands in front of the names: `Backend.`, or nothing. Of many the first few.
std::vector<std::string> unknown_fields(const boost::json::object& object,
                                        std::span<const std::string_view> known,
                                        std::string_view where);

// A backend's options. Errors name the option and the value: `VNI "1": not a number`.
class BackendOptions {
 public:
  // `object` outlives this one.
  explicit BackendOptions(const boost::json::object& object) : object_(object) {}

  // A whole number from 0 to `most`.
  Result<std::uint64_t> number(std::string_view name, std::uint64_t otherwise,
                               std::uint64_t most) const;
  Result<bool> flag(std::string_view name, bool otherwise) const;
  Result<std::string> text(std::string_view name, std::string otherwise) const;

 private:
  const boost::json::object& object_;
};

}  // namespace flannel
