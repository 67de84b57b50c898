#include "daemon/pages.h"

#include <string>

#include "base/printable.h"
#include "base/prometheus_text.h"
#include "base/utc_text.h"
#include "daemon/metrics.h"

namespace flannel {

std::optional<HttpReply> health_page(const DaemonState& state, std::string_view path) {
  if (path == "/healthz") {
    return HttpReply{.body = "flanneld is running\n"};
  }
  if (path != "/readyz") {
    return std::nullopt;
  }
  if (!state.ready) {
    return HttpReply{.status = 503,
                     .body = "flanneld is not ready yet\n" +
                             printable(state.waiting_for(), kSentenceMost) + "\n"};
  }
  const LastKnownState* const fallback = state.fallback.get();
  const std::string source =
      fallback ? fmt::format(" (from last known state of {})", utc_text(fallback->time)) : "";
  return HttpReply{.body = "flanneld is ready" + source + "\n"};
}

std::optional<HttpReply> metrics_page(const DaemonState& state, std::string_view path) {
  if (path != "/metrics") {
    return std::nullopt;
  }
  return HttpReply{.content_type = std::string(kPrometheusContentType),
                   .body = state.metrics.get(Recent<std::string>::Clock::now(),
                                             [&state] { return metrics_text(state); })};
}

std::optional<HttpReply> status_page(DaemonState& state, std::string_view path) {
  if (path == "/status") {
    return HttpReply{.content_type = "application/json", .body = status_json(state)};
  }
  if (path == "/plan") {
    return HttpReply{.body = plan_text(state)};
  }
  return path == "/metrics" ? metrics_page(state, path) : health_page(state, path);
}

}  // namespace flannel
