// The pages over HTTP: /healthz and /readyz, and where it is wanted /metrics, for whoever asks;
// /status and /plan by the unix socket.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/http_server.h"
#include "daemon/state.h"

namespace flannel {

// /healthz, and /readyz with what is being waited for; nothing for other paths.
std::optional<HttpReply> health_page(const DaemonState& state, std::string_view path);
// /metrics; nothing for other paths. The port may be open to every pod, and with thousands of peers
// a page takes as long as a pass: all who ask within Recent::kMostAge get the same one.
std::optional<HttpReply> metrics_page(const DaemonState& state, std::string_view path);
// These three, /status and /plan.
std::optional<HttpReply> status_page(DaemonState& state, std::string_view path);

}  // namespace flannel
