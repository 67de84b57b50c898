// The parts of the daemon: what each is made from, and what it reports to the others.

#include <fmt/ranges.h>

#include <stdexcept>
#include <utility>

#include "base/counted.h"
#include "base/log.h"
#include "base/utc_text.h"
#include "daemon/config_change.h"
#include "daemon/daemon.h"
#include "daemon/sd_notify.h"
#include "daemon/wait_for.h"
#include "firewall/random_fully.h"
#include "network/subnet_env.h"
#include "store/config_changes.h"

namespace flannel {

void Daemon::make_parts() {
  const asio::any_io_executor executor = io_.get_executor();
  const Overlay& overlay = *state_.overlay;
  const Lease& own = *state_.lease();
  Peers known(overlay.config, own, [&overlay](const Lease& lease, Family family) {
    return overlay.backend->vtep_mac(lease, family);
  });
  known.set_host(state_.host->use());
  state_.peer_watch = std::make_unique<PeerWatch>(executor, *state_.store, std::move(known),
                                                  own.key, timing_.departures);
  state_.config_watch = std::make_unique<ConfigWatch>(*state_.store, overlay.text);
  const Peers& peers = *state_.peers();
  if (const std::optional<LastKnownStateFile> file = state_.state_file()) {
    state_.writer = std::make_unique<StateWriter>(
        executor, *file, StateWriter::Inputs{overlay.text, own, peers}, timing_.state_writer);
  }
  state_.planner =
      std::make_unique<Planner>(Planner::Inputs{overlay, *state_.external(), own, peers},
                                state_.options.route_nexthops, traffic_options(), host_);
  state_.reconciler = std::make_unique<Reconciler>(
      executor, kernel_, overlay.scope,
      Reconciler::Planner{
          .plan = [this](const Snapshot& kernel) { return state_.planner->plan(kernel); },
          .plan_changes =
              [this](const Snapshot& kernel) { return state_.planner->plan_changes(kernel); },
          .preview = [this](const Snapshot& kernel) { return state_.planner->preview(kernel); }},
      timing_.reconciler);
}

TrafficOptions Daemon::traffic_options() const {
  const NetworkConfig& config = state_.overlay->config;
  TrafficOptions options =
      flannel::traffic_options(config, state_.options, state_.overlay->masq_excluded);
  FirewallOptions& firewall = options.firewall;
  const auto networks = firewall_networks(config, state_.lease()->key);
  if (firewall.masquerade && firewall.random_fully && !networks.empty()) {
    firewall.random_fully = firewall.tool == FirewallTool::iptables
                                ? iptables_random_fully_
                                : nft_takes_random_fully(networks.front());
  }
  return options;
}

void Daemon::connect_parts() {
  state_.own->on_store_state = [this](const std::string& trouble) {
    store_state(StoreHealth::Use::renewal, trouble);
  };

  PeerWatch& peers = *state_.peer_watch;
  peers.on_answer = [this] { store_state(StoreHealth::Use::watch, ""); };
  peers.on_own = [this](const OwnEntry& entry) { state_.own->seen(entry); };
  peers.on_list = [this] { return follow_store(); };
  peers.on_listed = [this] { check_ready(); };  // something else is waited for
  peers.on_change = [this](const PeersDelta& delta) {
    state_.programming_time.peers_changed(ProgrammingTime::Clock::now());
    state_.planner->peers_changed(delta);
    state_.reconciler->wake_for_changes();
    if (state_.engine) {
      state_.engine->inputs_changed(delta);
    }
    if (state_.writer) {
      state_.writer->peers_changed(delta);
    }
  };

  state_.config_watch->on_change = [this](const std::string& text) { return take_up_config(text); };

  HostWatch& host = *state_.host;
  host.on_look = [this] { state_.store->host_changed(); };
  host.on_trouble = [this] {
    state_.reconciler->wake();  // also where the interface comes back as it was
  };
  host.on_use = [this](HostUse use) {
    state_.peer_watch->set_host(std::move(use));
    const std::vector<std::string> warnings = state_.host_warnings();
    host_warnings_.set({warnings.begin(), warnings.end()});
  };
  host.on_interface = [this](const LeaseAttrs& attrs) {
    state_.own->publish(attrs);
    state_.peer_watch->set_own(*state_.lease());
    if (state_.subnet_file.is_set()) {
      write_subnet_file();
    }
    state_.reconciler->wake();
  };

  state_.reconciler->on_pass = [this] {
    if (total(state_.reconciler->report().pending) == 0) {
      state_.programming_time.all_programmed(ProgrammingTime::Clock::now());
    }
    check_ready();
  };
  state_.reconciler->on_host_changed = [this](const HostChanges& changes) {
    if (state_.planner->invalidate_paths(changes)) {
      state_.reconciler->wake();
    }
    if (changes.concern_interfaces()) {
      state_.host->changed();
    }
  };
  state_.subnet_file.on_tried = [this] { check_ready(); };
  if (state_.engine) {
    state_.engine->on_trouble = [this] { check_ready(); };
  }
}

void Daemon::store_state(StoreHealth::Use use, const std::string& trouble) {
  const bool is_back = state_.store_health.set(use, trouble);
  if (is_back && use != StoreHealth::Use::renewal && state_.own) {
    state_.own->store_is_back();
  }
}

// The store has said who is there.
Task<void> Daemon::follow_store() {
  if (const LastKnownState* const fallback = state_.fallback.get()) {
    const std::optional<std::string> config = co_await state_.store->config();
    state_.config_watch->look(config ? Result<std::string>(*config) : no_config(*state_.store));
    Result<NodeFacts> facts = co_await state_.store->facts();
    if (!facts) {
      throw std::runtime_error(facts.error().text);
    }
    state_.host->set_facts(std::move(*facts));
    log_info("{} is back: the last known state of {} is replaced", state_.store->name(),
             utc_text(fallback->time));
    state_.fallback.end();
    state_.reconciler->set_additive(false);
  } else {
    start_reconciling();
  }
  if (state_.writer) {
    state_.writer->changed();
  }
}

// As soon as it is known who is there.
void Daemon::start_reconciling() {
  spawn(run_forever("reconciler", timing_.failures, [this] { return state_.reconciler->run(); }));
  if (state_.engine) {
    spawn(run_forever(
        "backend", timing_.failures,
        [this] {
          return state_.engine->run(
              {state_.overlay->config, *state_.external(), *state_.lease(), *state_.peers()});
        },
        [this](const std::string& trouble) { state_.engine->set_trouble(trouble); }));
  }
  if (state_.writer) {
    state_.writer->begin();
  }
}

// Error: why it cannot be used, or takes a restart. Then all is as before.
Result<void> Daemon::take_up_config(const std::string& text) {
  Overlay& now = *state_.overlay;
  Result<Overlay> next;
  try {
    next = read_overlay(*state_.store, text, state_.options);
  } catch (const Fatal& unusable) {
    return fail("{}", unusable.what());
  }
  if (!next) {
    return std::unexpected(next.error());
  }
  const std::vector<std::string> reasons =
      restart_reasons(now.config, next->config, now.traits.live_options);
  if (!reasons.empty() && state_.fallback.get() != nullptr) {
    throw Fatal("the network configuration changed while the store was away: starting anew");
  }
  if (!reasons.empty()) {
    return fail("it takes a restart of flanneld, for {}", fmt::join(reasons, "; "));
  }
  if (const auto mtu = next->backend->mtu(next->config, *state_.external()); !mtu) {
    return std::unexpected(mtu.error());
  }
  next->scope = std::move(now.scope);
  next->prepared = std::move(now.prepared);
  now = std::move(*next);
  use_bridge_netfilter();
  state_.planner->overlay_changed(traffic_options());
  if (state_.subnet_file.is_set()) {
    write_subnet_file();
  }
  if (state_.writer) {
    state_.writer->changed();
  }
  state_.reconciler->wake();
  return {};
}

void Daemon::write_subnet_file() {
  state_.subnet_file.set(subnet_env_text(state_.overlay->config, state_.lease()->key,
                                         state_.host->pod_mtu(), state_.options.ip_masq));
}

// Pods are started by subnet.env, and by what waits for us, when their packets are taken care of.
void Daemon::check_ready() {
  if (!state_.reconciler->report().complete || (state_.engine && !state_.engine->has_worked())) {
    state_.subnet_file.explain(state_.waiting_for());
    return;
  }
  if (!state_.subnet_file.is_set()) {
    write_subnet_file();
  }
  if (!state_.subnet_file.is_tried()) {
    return;
  }
  // As the reference does also where subnet.env cannot be written: a unit that timed out would take
  // the overlay away from pods that are there already.
  if (!std::exchange(state_.bootstrapped, true)) {
    log_info("bootstrap done");
    if (!sd_notify("READY=1")) {
      log_warning("systemd could not be notified that we are ready");
    }
  }
  if (!state_.ready && state_.subnet_file.is_written()) {
    state_.ready = true;
    log_info("flannel is ready: {}", counted(state_.peers()->usable_count(), "peer"));
    for (const std::string& warning : state_.forward_drops()) {
      log_warning("{}", warning);
    }
    spawn(wait_for<void>(
        timing_.waits, "cannot be notified that we are ready",
        [this] { return state_.store->on_ready(); },
        [this](const std::string& trouble) { store_state(StoreHealth::Use::ready, trouble); }));
  }
}

}  // namespace flannel
