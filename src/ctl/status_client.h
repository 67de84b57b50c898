// Asks a daemon over its status socket.
#pragma once

#include <string>

#include "base/result.h"

namespace flannel {

struct Page {
  unsigned status = 0;  // of HTTP
  std::string body;
};

// Error: nobody listens there, or no answer within five seconds.
Result<Page> get_page(const std::string& socket, const std::string& path);

}  // namespace flannel
