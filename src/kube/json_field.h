#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace flannel {

// The text at `name`; empty where there is none, or something else.
inline std::string text_field(const boost::json::object& object, std::string_view name) {
  const boost::json::value* const value = object.if_contains({name.data(), name.size()});
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

}  // namespace flannel
