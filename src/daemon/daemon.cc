#include "daemon/daemon.h"

#include <boost/asio/co_spawn.hpp>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "daemon/bridge_netfilter.h"
#include "daemon/pages.h"
#include "daemon/traffic.h"
#include "daemon/wait_for.h"
#include "network/subnet_env.h"

namespace flannel {

Daemon::Daemon(asio::io_context& io, Options options, Kernel& kernel, HostNetwork& host,
               std::unique_ptr<LeaseStore> store, Timing timing)
    : io_(io),
      kernel_(kernel),
      host_(host),
      timing_(timing),
      state_(io.get_executor(), std::move(options), std::move(store), timing.file_writes) {}

template <class T>
Task<T> Daemon::wait(std::string what, std::function<Task<Result<T>>()> attempt) {
  return wait_for<T>(
      timing_.waits, std::move(what),
      [attempt = std::move(attempt)] { return end_if_refused<T>(attempt); },
      [this](const std::string& reason) { set_reason(reason); });
}

void Daemon::start() {
  spawn(run());
}

Task<void> Daemon::run() {
  if (const Result<void> may = kernel_.may_change(); !may) {
    throw Fatal(may.error().text);
  }
  serve_pages();
  bool has_joined = false;
  while (!has_joined) {
    co_await read_network();
    has_joined = co_await join_network();
  }
  co_await ask_iptables();
  make_parts();
  connect_parts();
  start_loops();
}

Task<bool> Daemon::join_network() {
  try {
    co_await claim_devices();
    co_await choose_interface();
    co_await prepare_backend();
    const bool has_lease = co_await take_lease();
    co_return has_lease;
  } catch (const ConfigChanged& change) {
    log_info("{}", change.what());
  }
  co_return false;
}

void Daemon::serve_pages() {
  const Options& options = state_.options;
  const auto serve = [this](std::string_view what, const ListenAddress& address, auto page) {
    const Result<void> listening =
        serve_tcp(io_.get_executor(), address,
                  [this, page](std::string_view path) { return page(state_, path); });
    if (!listening) {
      throw Fatal(fmt::format("{}: {}", what, listening.error().text));
    }
  };
  if (options.healthz_port > 0) {
    serve("health pages", {options.healthz_ip, static_cast<std::uint16_t>(options.healthz_port)},
          health_page);
  }
  if (!options.metrics_addr.empty()) {
    serve("metrics page", parse_listen_address(options.metrics_addr).value(), metrics_page);
  }
  const Result<void> listening =
      serve_unix(io_.get_executor(), options.status_socket_path(),
                 [this](std::string_view path) { return status_page(state_, path); });
  if (!listening) {
    state_.no_status_socket = listening.error().text;
    log_warning("no status socket: {}", state_.no_status_socket);
  }
}

Task<void> Daemon::read_network() {
  state_.host.reset();
  Overlay overlay = co_await wait<Overlay>("Couldn't fetch network config", [this] {
    return find_overlay(*state_.store, state_.fallback, state_.options);
  });
  state_.overlay = std::make_unique<Overlay>(std::move(overlay));
  if (state_.fallback.get() != nullptr) {
    store_state(StoreHealth::Use::watch, state_.fallback.cause());
  }
  log_info("Found network config - Backend type: {}", state_.overlay->config.backend_type);
  use_bridge_netfilter();
}

void Daemon::use_bridge_netfilter() {
  if (!state_.overlay->config.nftables) {
    const Result<void> loaded = load_bridge_netfilter();
    state_.no_bridge_netfilter = loaded ? "" : loaded.error().text;
  }
}

// A network whose devices another daemon has is waited for, until that one ends.
Task<void> Daemon::claim_devices() {
  co_await wait<void>("no device for this network",
                      [this] { return done(kernel_.claim(state_.overlay->scope)); });
}

Task<void> Daemon::choose_interface() {
  NodeFacts facts;
  if (const LastKnownState* const fallback = state_.fallback.get()) {
    facts.published = fallback->own.attrs;
  } else {
    facts = co_await wait<NodeFacts>("Couldn't learn of this node",
                                     [this] { return state_.store->facts(); });
  }
  state_.host =
      std::make_unique<HostWatch>(io_.get_executor(), kernel_, host_, *state_.overlay, facts,
                                  state_.options.interface_options(), timing_.host);
  co_await wait<void>("no external interface", [this] { return done(state_.host->choose()); });
}

Task<void> Daemon::prepare_backend() {
  state_.engine = state_.overlay->backend->engine();
  if (state_.engine) {
    state_.overlay->prepared = co_await wait<std::string>(
        "Error registering network", [this] { return state_.engine->prepare(); });
  }
}

Task<bool> Daemon::take_lease() {
  std::optional<Lease> lease;
  const bool from_fallback = state_.fallback.get() != nullptr;
  if (from_fallback) {
    lease = state_.fallback.own_lease(state_.host->announcement());
    if (!lease) {
      state_.fallback.end();
      co_return false;
    }
  } else {
    const Result<std::string> text = read_file(state_.options.subnet_file);
    const LeaseKey previous = text ? parse_subnet_env(*text).key() : LeaseKey();
    lease = co_await wait<Lease>("failed to acquire lease",
                                 [this, previous] { return acquire_lease(previous); });
  }
  state_.own = std::make_unique<OwnLease>(io_.get_executor(), *state_.store, std::move(*lease),
                                          state_.options.renew_margin(), timing_.own_lease);
  if (from_fallback) {
    state_.own->write_anew();  // it may have expired meanwhile
  } else {
    log_info("Lease acquired: {}", to_text(state_.lease()->key));
  }
  for (const FirewallNetwork& each :
       firewall_networks(state_.overlay->config, state_.lease()->key)) {
    state_.overlay->scope.subnets.push_back(each.subnet.masked());
  }
  co_return true;
}

Task<Result<Lease>> Daemon::acquire_lease(const LeaseKey& previous) {
  const NetworkConfig& config = state_.overlay->config;
  AcquireRequest request{config, state_.host->announcement(), previous, {}};
  for (const OccupiedRange& range : occupied_ranges(state_.host->use(), config, LeaseKey())) {
    request.avoid.push_back(range.range);
  }
  return state_.store->acquire(std::move(request));
}

// Also where the configuration wants nftables, which may change while we run.
Task<void> Daemon::ask_iptables() {
  const auto networks = firewall_networks(state_.overlay->config, state_.lease()->key);
  if (state_.options.ip_masq && !state_.options.ip_masq_fully_random_disable && !networks.empty()) {
    iptables_random_fully_ = co_await host_takes_random_fully(networks.front().network.family());
  }
}

void Daemon::start_loops() {
  log_info("Running backend.");
  check_ready();
  if (const LastKnownState* const fallback = state_.fallback.get()) {
    // What others have changed meanwhile is not known, so nothing is removed.
    state_.reconciler->set_additive(true);
    state_.peer_watch->assume(fallback->peers);
    start_reconciling();
  }
  if (state_.writer) {
    spawn(
        run_forever("last known state", timing_.failures, [this] { return state_.writer->run(); }));
  }
  spawn(state_.subnet_file.run());
  spawn(run_forever(
      "leases", timing_.waits, [this] { return state_.peer_watch->follow(); },
      [this](const std::string& text) { store_state(StoreHealth::Use::watch, text); }));
  spawn(state_.own->run());
  spawn(state_.peer_watch->remove_departed());
  spawn(run_forever("kernel notifications", timing_.failures,
                    [this] { return state_.reconciler->follow_kernel(); }));
  spawn(run_forever("network configuration", timing_.failures,
                    [this] { return state_.config_watch->follow(); }));
  spawn(run_forever("interfaces", timing_.failures, [this] { return state_.host->run(); }));
}

void Daemon::stop() {
  log_info("Exiting cleanly...");
  if (state_.writer && state_.peer_watch->listed()) {
    state_.writer->write_last();
  }
  io_.stop();
}

void Daemon::fail_with(const std::string& text) {
  log_error("{}", text);
  state_.subnet_file.explain(fmt::format("flanneld has ended: {}", text));
  exit_code_ = 1;
  io_.stop();
}

void Daemon::spawn(Task<void> task) {
  asio::co_spawn(io_, std::move(task), [this](const std::exception_ptr& failure) {
    try {
      if (failure) {
        std::rethrow_exception(failure);
      }
    } catch (const std::exception& error) {
      fail_with(error.what());
    }
  });
}

void Daemon::set_reason(const std::string& reason) {
  if (reason != state_.reason && !reason.empty()) {
    log_warning("{}", reason);
    state_.subnet_file.explain(reason);
  }
  state_.reason = reason;
}

}  // namespace flannel
