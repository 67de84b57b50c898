#include "daemon/daemon.h"

#include <boost/asio/co_spawn.hpp>
#include <variant>

#include "backend/scope.h"
#include "base/counted.h"
#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"
#include "daemon/host.h"
#include "daemon/pages.h"
#include "daemon/sd_notify.h"
#include "network/subnet_env.h"

namespace flannel {

Daemon::Daemon(asio::io_context& io, Options options, Kernel& kernel,
               std::unique_ptr<LeaseStore> store, Timing timing)
    : io_(io),
      kernel_(kernel),
      store_(std::move(store)),
      timing_(timing),
      store_health_(store_->name()),
      subnet_file_(io.get_executor(), options.subnet_file, timing.file_writes),
      last_known_state_stale_(io.get_executor()) {
  state_.options = std::move(options);
  state_.store_name = store_->name();
  subnet_file_.on_change = [this] {
    waiting_for(subnet_file_.trouble());
    check_ready();
  };
  // A local store is as near as its last known state would be.
  if (state_.options.local_store.empty() && !state_.options.state_dir.empty()) {
    last_known_state_file_.emplace(state_.options.state_dir,
                                   state_.store_name + " " + state_.options.subnet_file);
    writer_.emplace(1);
  }
}

void Daemon::start() {
  spawn(run());
}

void Daemon::stop() {
  log_info("Exiting cleanly...");
  write_last_known_state();
  io_.stop();
}

void Daemon::fail_with(const std::string& text) {
  log_error("{}", text);
  subnet_file_.explain(fmt::format("flanneld has ended: {}", text));
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

void Daemon::store_state(StoreHealth::Use use, const std::string& trouble) {
  const bool is_back = store_health_.set(use, trouble);
  state_.store_trouble = store_health_.trouble();
  if (is_back && use != StoreHealth::Use::renewal && state_.own) {
    state_.own->store_is_back();
  }
}

void Daemon::waiting_for(const std::string& reason) {
  if (reason != state_.reason && !reason.empty()) {
    log_warning("{}", reason);
    subnet_file_.explain(reason);
  }
  state_.reason = reason;
}

template <class T>
Task<T> Daemon::wait_for(std::string what, std::function<Task<Result<T>>()> attempt) {
  for (Backoff backoff = timing_.waits;;) {
    std::string failure;
    try {
      Result<T> result = co_await attempt();
      if (result) {
        waiting_for("");
        co_return std::move(*result);
      }
      failure = result.error().text;
    } catch (const Fatal&) {
      throw;
    } catch (const StoreRefused& error) {
      throw Fatal(fmt::format("Failed to create SubnetManager: {}", error.what()));
    } catch (const std::runtime_error& error) {  // the store or the kernel cannot be reached
      failure = error.what();
    }
    waiting_for(fmt::format("{}: {}", what, failure));
    co_await sleep_for(backoff.next());
  }
}

Task<void> Daemon::run() {
  if (const Result<void> may = kernel_.may_change(); !may) {
    throw Fatal(may.error().text);
  }
  serve_pages();
  do {
    co_await read_network();
    co_await claim_devices();
    co_await choose_interface();
  } while (!co_await acquire_lease());
  start_loops();
}

void Daemon::serve_pages() {
  const Options& options = state_.options;
  if (options.healthz_port > 0) {
    const Result<void> listening = serve_tcp(
        io_.get_executor(), options.healthz_ip, static_cast<std::uint16_t>(options.healthz_port),
        [this](std::string_view path) { return health_page(state_, path); });
    if (!listening) {
      throw Fatal(fmt::format("health pages: {}", listening.error().text));
    }
  }
  const Result<void> listening =
      serve_unix(io_.get_executor(), options.status_socket_path(),
                 [this](std::string_view path) { return status_page(state_, path); });
  if (!listening) {
    state_.warnings.push_back(fmt::format("no status socket: {}", listening.error().text));
    log_warning("{}", state_.warnings.back());
  }
}

Task<void> Daemon::read_network() {
  const auto attempt = [](Daemon* self) -> Task<Result<Overlay>> {
    Result<std::string> text = co_await self->config_text();
    if (!text) {
      co_return std::unexpected(text.error());
    }
    Result<NetworkConfig> config = parse_network_config(*text);
    if (!config) {
      co_return std::unexpected(config.error());
    }
    for (const std::string& warning : warnings(*config)) {
      log_warning("{}", warning);
    }
    Result<Overlay> overlay =
        make_overlay(std::move(*text), std::move(*config), self->state_.options.adopt_stale);
    if (!overlay) {
      throw Fatal(fmt::format("Error fetching backend: {}", overlay.error().text));
    }
    co_return overlay;
  };
  state_.host.reset();
  Overlay overlay =
      co_await wait_for<Overlay>("Couldn't fetch network config", std::bind(attempt, this));
  state_.overlay = std::make_unique<Overlay>(std::move(overlay));
  log_info("Found network config - Backend type: {}", state_.overlay->config.backend_type);
}

// A network whose devices another daemon has is waited for, until that one ends.
Task<void> Daemon::claim_devices() {
  const auto attempt = [](Daemon* self) -> Task<Result<std::monostate>> {
    const Result<void> claimed = self->kernel_.claim(self->state_.overlay->scope);
    if (!claimed) {
      co_return std::unexpected(claimed.error());
    }
    co_return std::monostate();
  };
  co_await wait_for<std::monostate>("no device for this network", std::bind(attempt, this));
}

Task<void> Daemon::choose_interface() {
  const auto attempt = [](Daemon* self) -> Task<Result<std::monostate>> {
    const Result<void> chosen = self->state_.host->choose();
    if (!chosen) {
      co_return std::unexpected(chosen.error());
    }
    co_return std::monostate();
  };
  state_.host = std::make_unique<HostWatch>(io_.get_executor(), kernel_, *state_.overlay,
                                            state_.options.interface_wish(), timing_.host);
  co_await wait_for<std::monostate>("no external interface", std::bind(attempt, this));
}

Task<bool> Daemon::acquire_lease() {
  if (last_known_state_) {
    std::optional<Lease> lease = last_known_lease(state_.host->announcement());
    if (!lease) {
      end_last_known_state();
      co_return false;
    }
    own_lease(std::move(*lease));
    state_.own->write_anew();  // it may have expired meanwhile
    co_return true;
  }
  AcquireRequest request;
  request.network = state_.overlay->config;
  if (const Result<std::string> text = read_file(state_.options.subnet_file)) {
    request.previous = parse_subnet_env(*text).key();
  }
  const auto attempt = [](Daemon* self, AcquireRequest* wanted) {
    wanted->attrs = self->state_.host->announcement();
    wanted->avoid.clear();
    for (const OccupiedRange& range :
         occupied_ranges(self->state_.host->use(), wanted->network, LeaseKey())) {
      wanted->avoid.push_back(range.range);
    }
    return self->store_->acquire(*wanted);
  };
  own_lease(
      co_await wait_for<Lease>("failed to acquire lease", std::bind(attempt, this, &request)));
  log_info("Lease acquired: {}", to_text(state_.lease()->key));
  co_return true;
}

void Daemon::own_lease(Lease lease) {
  state_.own = std::make_unique<OwnLease>(io_.get_executor(), *store_, std::move(lease),
                                          state_.options.renew_margin(), timing_.own_lease);
  state_.own->on_store_state = [this](const std::string& trouble) {
    store_state(StoreHealth::Use::renewal, trouble);
  };
}

void Daemon::start_loops() {
  const Overlay& overlay = *state_.overlay;
  follow_peers();
  state_.planner = std::make_unique<Planner>(
      Planner::Inputs{overlay, *state_.external(), *state_.lease(), *state_.peers()},
      state_.options.route_nexthops, kernel_);
  state_.reconciler = std::make_unique<Reconciler>(
      io_.get_executor(), kernel_, overlay.scope,
      Reconciler::Planner{
          .plan = [this](const Snapshot& kernel) { return state_.planner->plan(kernel); },
          .plan_changes =
              [this](const Snapshot& kernel) { return state_.planner->plan_changes(kernel); },
          .preview = [this](const Snapshot& kernel) { return state_.planner->preview(kernel); }},
      timing_.reconciler);
  state_.reconciler->on_pass = [this] { check_ready(); };
  state_.reconciler->on_host_changed = [this](const HostChanges& changes) {
    host_changed(changes);
  };
  follow_host();
  subnet_file_.set(subnet_file_text());
  log_info("Running backend.");
  if (last_known_state_) {
    start_from_last_known_state();
  }
  if (last_known_state_file_) {
    spawn(run_forever("last known state", timing_.failures,
                      [this] { return keep_last_known_state(); }));
  }
  spawn(subnet_file_.run());
  spawn(run_forever(
      "leases", timing_.waits, [this] { return state_.peer_watch->follow(); },
      [this](const std::string& text) { store_state(StoreHealth::Use::watch, text); }));
  spawn(state_.own->run());
  spawn(state_.peer_watch->remove_departed());
  spawn(run_forever("kernel notifications", timing_.failures,
                    [this] { return state_.reconciler->follow_kernel(); }));
  spawn(run_forever("interfaces", timing_.failures, [this] { return state_.host->run(); }));
}

void Daemon::check_ready() {
  const Report& report = state_.reconciler->report();
  if (!report.complete) {
    return;
  }
  // As the reference does also where subnet.env cannot be written: a unit that timed out would take
  // the overlay away from pods that are there already.
  if (!std::exchange(state_.told_systemd, true) && !sd_notify("READY=1")) {
    log_warning("systemd could not be told that we are ready");
  }
  if (!state_.ready && subnet_file_.is_written()) {
    state_.ready = true;
    state_.reason.clear();
    log_info("flannel is ready: {}", counted(state_.peers()->usable_count(), "peer"));
  }
}

}  // namespace flannel
