// The network that this node is part of, as its configuration has it.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/scope.h"
#include "network/network_config.h"

namespace flannel {

struct Overlay {
  std::string text;  // of the configuration, as it was read
  NetworkConfig config;
  std::unique_ptr<Backend> backend;
  Scope scope;
};

// Error: the backend that `config` asks for is unknown, or one of its options is wrong.
Result<Overlay> make_overlay(std::string text, NetworkConfig config, bool adopt_stale);

}  // namespace flannel
