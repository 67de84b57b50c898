#include "daemon/state.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/counted.h"
#include "base/log.h"
#include "daemon/bridge_netfilter.h"
#include "daemon/traffic.h"
#include "firewall/forward_drops.h"

namespace flannel {

DaemonState::DaemonState(const asio::any_io_executor& executor, Options given,
                         std::unique_ptr<LeaseStore> lease_store, Backoff retries)
    : options(std::move(given)),
      store(std::move(lease_store)),
      store_health(store->name()),
      fallback(state_file(), *store),
      subnet_file(executor, options.subnet_file, retries) {}

std::optional<LastKnownStateFile> DaemonState::state_file() const {
  if (!options.local_store.empty() || options.state_dir.empty()) {
    return std::nullopt;
  }
  return LastKnownStateFile(options.state_dir, store->name() + " " + options.subnet_file);
}

std::vector<std::string> DaemonState::host_warnings() const {
  if (!peer_watch) {
    return {};
  }
  std::vector<std::string> all = overlay_warnings(peers()->host(), overlay->config, lease()->key);
  std::ranges::move(bridge_netfilter_warnings(overlay->config, no_bridge_netfilter),
                    std::back_inserter(all));
  return all;
}

std::vector<std::string> DaemonState::forward_drops() const {
  if (!own) {
    return {};
  }
  std::vector<Prefix> networks;
  for (const FirewallNetwork& each : firewall_networks(overlay->config, lease()->key)) {
    networks.push_back(each.network);
  }
  try {
    return find_forward_drops(networks, overlay->traits.links,
                              reconciler ? reconciler->mirror().rules_suffix : "");
  } catch (const std::system_error& error) {  // a kernel without netfilter drops nothing
    log_verbose(1, "chains of others: {}", error.what());
    return {};
  }
}

std::string DaemonState::waiting_for() const {
  const std::string& cause = reason.empty() ? subnet_file.trouble() : reason;
  if (ready || !reconciler) {
    return cause;
  }
  const Report& report = reconciler->report();
  if (!peer_watch->listed() && fallback.get() == nullptr) {
    const std::string trouble = store_health.trouble();
    return trouble.empty() ? "the list of peers is not complete yet" : trouble;
  }
  if (!report.complete && !report.problems.empty()) {
    const Problem& first = report.problems.front();
    return fmt::format("the kernel refuses {}, the first: {}: {}",
                       counted(report.problems.size(), "change"), headline(first.op), first.text);
  }
  if (!report.complete && !reconciler->under_way().empty()) {
    return fmt::format("under way: {}", headline(reconciler->under_way().front()));
  }
  if (report.complete && engine && !engine->has_worked()) {
    return "the backend does not work yet: " + engine->trouble();
  }
  return report.complete ? cause : "the first pass over the kernel's state is not complete";
}

}  // namespace flannel
