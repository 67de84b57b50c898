// The network that this node is part of, as its configuration has it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/scope.h"
#include "base/task.h"
#include "daemon/fallback_state.h"
#include "daemon/options.h"
#include "network/network_config.h"
#include "store/store.h"

namespace flannel {

struct Overlay {
  std::string text;  // of the configuration, as it was read
  NetworkConfig config;
  std::unique_ptr<Backend> backend;
  Traits traits;  // the backend's, with this configuration
  Scope scope;
  std::vector<Prefix> masq_excluded;  // by the configuration and the options
  std::string prepared = {};          // what the backend's engine has for the announcement
};

// Error: the backend that `config` asks for is unknown, or one of its options is wrong.
Result<Overlay> make_overlay(std::string text, NetworkConfig config, bool adopt_stale);

// The overlay that `text` stands for. Error: it is wrong, by itself or beside the options. Throws
// Fatal where make_overlay() has an error.
Result<Overlay> read_overlay(const LeaseStore& store, std::string text, const Options& options);

// By the configuration in `store`, or by `fallback` where that one cannot be reached. Error: there
// is none yet, or read_overlay()'s, until somebody writes another. Throws as that, and
// StoreRefused.
Task<Result<Overlay>> find_overlay(LeaseStore& store, FallbackState& fallback,
                                   const Options& options);

}  // namespace flannel
