// The plugins that the one binary is.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "cni/protocol/request.h"

namespace flannel::cni {

// Each function does its verb or throws CniError; what it had made by then is undone.
struct Plugin {
  std::string_view name;  // its program's
  // The result, in the version asked for.
  json::object (*add)(const Request&);
  void (*check)(const Request&);
  // Success where there is nothing left to remove.
  void (*del)(const Request&);
  // Removes what belongs to none of valid_attachments().
  void (*gc)(const Request&);
  void (*status)(const Request&);
};

// Each is in the file of its name.
extern const Plugin kFlannel, kBridge, kHostLocal, kPortmap, kLoopback;

}  // namespace flannel::cni
