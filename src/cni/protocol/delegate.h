// Other plugins, run as the specification's "Section 4: Plugin Delegation" says.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "cni/protocol/error.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

// The plugin was not even started: it has made nothing that there is to be undone.
class CannotRun : public CniError {
 public:
  using CniError::CniError;
};

// Runs the plugin `type` of CNI_PATH for the request's attachment, with `config` on its standard
// input. What it printed; CannotRun, or CniError with its code and words where it failed.
std::string run_delegate(const Request& request, const std::string& command,
                         const std::string& type, const json::object& config);

// ADD, and its result read: without a version of its own, it has the configuration's. A result
// `null` is an empty one.
AddResult delegate_add(const Request& request, const std::string& type, const json::object& config);

}  // namespace flannel::cni
