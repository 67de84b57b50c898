// JSON as Go's encoding/json writes it.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace flannel::cni {

// The fields of every object in the order of their names, as of Go's maps.
boost::json::value sort_fields(const boost::json::value& value);

// Indented by four, as by MarshalIndent.
std::string pretty_print(const boost::json::value& value);

}  // namespace flannel::cni
