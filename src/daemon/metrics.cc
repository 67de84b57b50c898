#include "daemon/metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "base/boot_clock.h"
#include "base/file.h"
#include "base/prometheus_text.h"
#include "base/version.h"
#include "daemon/peer_states.h"
#include "kernel/device_counters.h"

namespace flannel {
namespace {

// Whole seconds since 1970: two scrapes are to have the same, also where one clock is told by
// another.
double unix_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::round<std::chrono::seconds>(time.time_since_epoch());
  return static_cast<double>(since.count());
}

void add_build(PrometheusText& out, const DaemonState& state) {
  out.gauge("flannel_build_info", "Which flanneld this is.");
  out.sample(1, {{"version", kVersion}});
  if (state.overlay) {
    const NetworkConfig& config = state.overlay->config;
    out.gauge("flannel_network_info", "Of which kind the network is.");
    out.sample(1, {{"backend", config.backend_type},
                   {"firewall",
                    to_text(config.nftables ? FirewallTool::nftables : FirewallTool::iptables)}});
  }
}

void add_state(PrometheusText& out, const DaemonState& state) {
  out.gauge("flannel_ready", "Whether the node is ready, as /readyz says.");
  out.sample(state.ready ? 1 : 0);
  out.gauge("flannel_degraded", "Whether flannelctl status says degraded.");
  out.sample(is_degraded(state) ? 1 : 0);
  out.gauge("flannel_warnings", "What is not as it was asked for, and does not degrade the node.");
  out.sample(static_cast<double>(warnings(state).size()));
  if (const ExternalInterface* external = state.external()) {
    out.gauge("flannel_interface_mtu_bytes", "MTU of the interface to the other nodes.");
    out.sample(external->mtu);
    out.gauge("flannel_pod_mtu_bytes", "MTU that pods get.");
    out.sample(state.host->pod_mtu());
  }
  if (const Lease* lease = state.lease(); lease != nullptr && lease->expiry) {
    out.gauge("flannel_lease_expiry_timestamp_seconds", "When the lease ends unless renewed.");
    out.sample(unix_time(to_time_of_day(*lease->expiry)));
  }
}

void add_store(PrometheusText& out, const DaemonState& state) {
  const PeerWatch* const watch = state.peer_watch.get();
  out.gauge("flannel_store_connected", "Whether the leases in the store are being followed.");
  out.sample(follows_leases(state) ? 1 : 0);
  if (watch == nullptr) {
    return;
  }
  const PeerWatch::Counts& counts = watch->counts();
  out.counter("flannel_store_lists_total", "Complete lists of the leases, the first included.");
  out.sample(static_cast<double>(counts.lists));
  out.counter("flannel_store_events_total", "Changes of leases that the store told of.");
  out.sample(static_cast<double>(counts.puts), {{"type", "put"}});
  out.sample(static_cast<double>(counts.deletes), {{"type", "delete"}});
}

void add_peers(PrometheusText& out, const DaemonState& state) {
  // Each state has a sample, so that an alert on one sees its beginning.
  std::map<std::string_view, std::size_t> counts{{"refused", state.peers()->refused_count()}};
  for (const ObjectState one : {ObjectState::present, ObjectState::pending, ObjectState::failed}) {
    counts[to_text(one)] = 0;
  }
  // Each node once, by the worst: refused, skipped, then how far it is.
  std::set<const Lease*> refused = state.peers()->partly_usable();
  const std::vector<PeerState> states = peer_states(state);
  for (const PeerState& peer : states) {
    if (refused.erase(peer.peer) == 0) {
      ++counts[to_text(peer.state)];
    }
  }
  counts["skipped"] = state.peers()->usable_count() - states.size() - refused.size();
  out.gauge("flannel_peers", "Other nodes, by how far they are in the kernel.");
  for (const auto& [name, count] : counts) {
    out.sample(static_cast<double>(count), {{"state", name}});
  }
  out.histogram("flannel_programming_duration_seconds",
                "From a change of the peers until the kernel has it.",
                state.programming_time.seconds());
}

// `of`: what is counted.
void add_by_kind(PrometheusText& out, const KindCounts& of) {
  const std::vector<std::string> names = kind_names();
  for (std::size_t i = 0; i < of.size(); ++i) {
    out.sample(static_cast<double>(of[i]), {{"kind", names[i]}});
  }
}

KindCounts sizes(const NetState& state) {
  KindCounts counts{};
  for_each_table(
      [&counts, i = std::size_t{0}](const auto& table) mutable { counts[i++] = table.size(); },
      state);
  return counts;
}

void add_kernel(PrometheusText& out, const Reconciler& reconciler) {
  const Report& report = reconciler.report();
  out.gauge("flannel_objects", "Kernel objects that are wanted.");
  add_by_kind(out, sizes(reconciler.wanted()));
  out.gauge("flannel_objects_pending", "Kernel objects that are not as wanted yet.");
  add_by_kind(out, report.pending);
  out.gauge("flannel_problems", "Kernel objects that were refused, or are undone repeatedly.");
  out.sample(static_cast<double>(report.problems.size()));
  out.counter("flannel_repairs_total", "Kernel objects put back that others had changed.");
  add_by_kind(out, report.repairs);
  out.counter("flannel_reconcile_passes_total", "Comparisons of what is wanted with the kernel.");
  out.sample(static_cast<double>(report.passes));
  out.counter("flannel_reconcile_changes_total", "Kernel objects made, changed or removed.");
  out.sample(static_cast<double>(report.ops));
  out.counter("flannel_reconcile_failures_total", "Changes that the kernel refused, each time.");
  const std::vector<std::string> names = kind_names();
  for (const auto& [what, count] : report.failures) {
    const auto& [kind, error] = what;
    const char* const name = ::strerrorname_np(error);
    out.sample(static_cast<double>(count),
               {{"kind", names[kind]}, {"error", name != nullptr ? name : "unknown"}});
  }
}

void add_devices(PrometheusText& out, const DaemonState& state) {
  const std::vector<Dev>& devices = state.overlay->traits.links;
  const auto counters = read_device_counters(devices);
  using Direction = DeviceCounters::Direction;
  constexpr struct {
    const char *name, *help;
    std::uint64_t Direction::* field;
  } kMetrics[] = {
      {"flannel_device_bytes_total", "Bytes through flannel's devices.", &Direction::bytes},
      {"flannel_device_packets_total", "Packets through them.", &Direction::packets},
      {"flannel_device_errors_total", "Packets with errors.", &Direction::errors},
      {"flannel_device_dropped_packets_total", "Packets that were dropped.", &Direction::dropped},
  };
  for (const auto& [name, help, field] : kMetrics) {
    out.counter(name, help);
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (counters[i]) {
        const std::string device(devices[i].text());
        out.sample(static_cast<double>(counters[i]->receive.*field),
                   {{"device", device}, {"direction", "receive"}});
        out.sample(static_cast<double>(counters[i]->transmit.*field),
                   {{"device", device}, {"direction", "transmit"}});
      }
    }
  }
}

// The names are those that all clients of Prometheus use.
void add_process(PrometheusText& out, const DaemonState& state) {
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  out.counter("process_cpu_seconds_total", "Time of the processor.");
  out.sample(static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9);
  out.gauge("process_start_time_seconds", "When it was started.");
  out.sample(unix_time(state.started));
  std::uint64_t pages = 0, resident = 0;
  const std::string memory = read_file("/proc/self/statm").value_or("");
  if (std::istringstream(memory) >> pages >> resident) {
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    out.gauge("process_virtual_memory_bytes", "Memory that is mapped.");
    out.sample(static_cast<double>(pages) * page);
    out.gauge("process_resident_memory_bytes", "Memory that is in use.");
    out.sample(static_cast<double>(resident) * page);
  }
  std::error_code none;
  const std::filesystem::directory_iterator open("/proc/self/fd", none);
  if (!none) {
    out.gauge("process_open_fds", "Open file descriptors.");
    out.sample(static_cast<double>(std::distance(begin(open), end(open)) - 1));  // but this one
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.gauge("process_max_fds", "File descriptors that may be open.");
    out.sample(static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

std::string metrics_text(const DaemonState& state) {
  PrometheusText out;
  add_build(out, state);
  add_state(out, state);
  add_store(out, state);
  if (state.reconciler) {
    add_peers(out, state);
    add_kernel(out, *state.reconciler);
    add_devices(out, state);
  }
  add_process(out, state);
  return out.text();
}

}  // namespace flannel
