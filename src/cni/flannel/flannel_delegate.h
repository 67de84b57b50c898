// The configuration that the flannel plugin hands on.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "cni/flannel/flannel_env.h"
#include "cni/protocol/request.h"

namespace flannel::cni {

struct FlannelConfig {
  std::string subnet_file;  // of the daemon
  std::string data_dir;     // where records of containers are
};

// Throws CniError.
FlannelConfig parse_flannel(const Request& request);

// `delegate` of the configuration, completed: type, name, MTU, masquerading, the node's subnets as
// ranges and the networks as routes. Throws CniError for what must not be there.
json::object make_delegate(const Request& request, const FlannelEnv& env);

// What is left to remove without knowing the node's subnets: type, name and where addresses are
// kept, for a container whose record cannot be read.
json::object make_delegate_for_removal(const Request& request);

// Fields of the configuration and of `delegate` that nobody reads, a sentence each. Of a delegate
// other than bridge nothing is known.
std::vector<std::string> ignored_fields(const Request& request);

// The request that the delegate gets.
Request delegated(const Request& request, const json::object& delegate);

}  // namespace flannel::cni
