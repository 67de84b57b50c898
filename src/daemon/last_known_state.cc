// The daemon's last known state: kept while all is well, used where the store is away at the start.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "base/log.h"
#include "daemon/daemon.h"

namespace flannel {
namespace {

// On the writer's thread: thousands of rows, and a disk that may take its time.
Task<Result<void>> write_to(LastKnownStateFile file, LastKnownState state) {
  co_return file.write(state);
}

Task<Result<void>> write_changes_to(LastKnownStateFile file, LastKnownState changed,
                                    std::vector<LeaseKey> gone) {
  co_return file.write_changes(changed, gone);
}

void log_last_known_state_trouble(const std::string& trouble) {
  log_trouble(!trouble.empty(), trouble.empty()
                                    ? "the last known state can be written again"
                                    : "the last known state cannot be written: " + trouble);
}

// Another version of the program may have written it.
bool is_usable(const LastKnownState& state) {
  const Result<NetworkConfig> network = parse_network_config(state.config);
  return network && make_backend(*network);
}

}  // namespace

// The store's, or the one last known where the store cannot be reached.
Task<Result<std::string>> Daemon::config_text() {
  std::string failure;
  try {
    std::optional<std::string> text = co_await store_->config();
    if (text) {
      co_return std::move(*text);
    }
    co_return fail("no network configuration in {} yet", state_.store_name);
  } catch (const StoreRefused&) {
    throw;
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
  if (begin_last_known_state(failure)) {
    co_return last_known_state_->config;
  }
  co_return fail("{}", failure);
}

// False where there is none, or it was refused before.
bool Daemon::begin_last_known_state(const std::string& why) {
  if (!last_known_state_file_ || !may_use_last_known_state_) {
    return false;
  }
  Result<LastKnownState> read = last_known_state_file_->read();
  if (!read || !is_usable(*read)) {
    return false;
  }
  log_warning("going on from the last known state of {}", utc_text(read->time));
  last_known_state_ = std::move(*read);
  state_.last_known_state_of = last_known_state_->time;
  store_state(StoreHealth::Use::watch, why);
  return true;
}

// Nothing where we have other addresses now: the lease may not be ours any more.
std::optional<Lease> Daemon::last_known_lease(const LeaseAttrs& attrs) {
  const Lease& own = last_known_state_->own;
  if (own.attrs.public_ip != attrs.public_ip || own.attrs.public_ipv6 != attrs.public_ipv6) {
    log_warning("our addresses are not those of the last known state: waiting for the store");
    return std::nullopt;
  }
  Lease lease = own;
  lease.attrs = attrs;
  return lease;
}

// What others have changed meanwhile is not known, so nothing is removed.
void Daemon::start_from_last_known_state() {
  state_.peer_watch->assume(last_known_state_->peers);
  state_.reconciler->set_additive(true);
  start_reconciling();
}

// The store is back, and has said who is there.
Task<void> Daemon::replace_last_known_state() {
  if (!last_known_state_) {
    co_return;
  }
  const std::optional<std::string> text = co_await store_->config();
  if (text && *text != state_.overlay->text) {
    throw Fatal("the network configuration changed while the store was away: starting anew");
  }
  log_info("{} is back: the last known state of {} is replaced", state_.store_name,
           utc_text(last_known_state_->time));
  end_last_known_state();
  state_.reconciler->set_additive(false);
}

void Daemon::end_last_known_state() {
  last_known_state_.reset();
  state_.last_known_state_of.reset();
  may_use_last_known_state_ = false;
}

Task<void> Daemon::keep_last_known_state() {
  for (;;) {
    co_await last_known_state_stale_.wait();
    co_await sleep_for(timing_.state_write_delay);
    last_known_state_stale_.clear();
    const bool all = unwritten_.all();
    Task<Result<void>> writing = write_unwritten();
    unwritten_.clear();
    const Result<void> result =
        co_await asio::co_spawn(*writer_, std::move(writing), asio::use_awaitable);
    if (!result) {
      unwritten_.add_all();
      if (!all) {  // the file is not as we left it
        last_known_state_stale_.set();
      }
    }
    const std::string trouble = result ? "" : result.error().text;
    if (trouble != state_.last_known_state_trouble) {
      log_last_known_state_trouble(trouble);
    }
    state_.last_known_state_trouble = trouble;
  }
}

// A copy, for the writer's thread: of all peers, or of those alone that the file does not have yet.
LastKnownState Daemon::known_state(bool all) const {
  LastKnownState state{state_.overlay->text, *state_.lease(), {}, std::chrono::system_clock::now()};
  for (const Lease* peer : all ? state_.peers()->usable() : unwritten_.come(*state_.peers())) {
    state.peers.push_back(*peer);
  }
  return state;
}

Task<Result<void>> Daemon::write_unwritten() const {
  if (unwritten_.all()) {
    return write_to(*last_known_state_file_, known_state(true));
  }
  std::vector<LeaseKey> gone;
  for (const Lease* peer : unwritten_.gone()) {
    gone.push_back(peer->key);
  }
  return write_changes_to(*last_known_state_file_, known_state(false), std::move(gone));
}

// At a clean end: what the loop would have written in a moment is not lost. It comes after a write
// that is under way, and no disk keeps the process for long; what SQLite has not finished is undone
// by whoever opens the file next.
void Daemon::write_last_known_state() {
  if (!last_known_state_file_ || !state_.peer_watch || !state_.peer_watch->listed()) {
    return;
  }
  std::future<Result<void>> writing = asio::co_spawn(
      *writer_, write_to(*last_known_state_file_, known_state(true)), asio::use_future);
  const bool done = writing.wait_for(timing_.last_write) == std::future_status::ready;
  const Result<void> written =
      done ? writing.get() : fail("{} is slow", last_known_state_file_->path());
  if (!written) {
    log_last_known_state_trouble(written.error().text);
  }
}

}  // namespace flannel
