// Carries connections from a unix socket to a TCP address, for a lab's nodes, which have network
// namespaces of their own.
#pragma once

#include <string>

#include "base/result.h"

namespace flannel {

// Serves until the process is ended. Error: the socket or the URL (http://HOST:PORT) is no good.
Result<void> run_relay(const std::string& socket, const std::string& url);

// Whether somebody accepts connections there. Error: why not, after two seconds at most.
Result<void> try_relay(const std::string& url);

}  // namespace flannel
