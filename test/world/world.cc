#include "test/world/world.h"

#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include "backend/scope.h"
#include "ctl/process.h"
#include "daemon/choose_interface.h"
#include "daemon/traffic.h"
#include "firewall/firewall_part.h"
#include "firewall/make_firewall_part.h"
#include "reconcile/diff.h"
#include "test/support/listed_rules.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;

constexpr unsigned kPeers = 6;
// Of so many worlds one has its leases in Nodes, where more has to happen between processes.
constexpr unsigned kInNodes = 8;
// How soon all is well after whatever lasted however long. What has to happen takes some ten
// milliseconds; the rest is for machines that are busy with other tests.
constexpr milliseconds kSoon{3'000};

// Every backend and family that this kernel can do. Our own subnet is none of the peers'.
constexpr const char* kConfigs[] = {
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan"}})",
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"host-gw"}})",
    R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48","IPv6SubnetMin":"fc00:5:0:8000::","Backend":{"Type":"vxlan"}})",
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","EnableIPv6":true,"IPv6Network":"fc00:5::/48","IPv6SubnetMin":"fc00:5:0:8000::","Backend":{"Type":"vxlan"}})",
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","EnableIPv6":true,"IPv6Network":"fc00:5::/48","IPv6SubnetMin":"fc00:5:0:8000::","Backend":{"Type":"vxlan","DirectRouting":true}})",
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","EnableIPv6":true,"IPv6Network":"fc00:5::/48","IPv6SubnetMin":"fc00:5:0:8000::","Backend":{"Type":"host-gw"}})",
};

// Moves the process, before anything of it opens a socket.
std::uint64_t in_new_namespace(std::uint64_t seed) {
  if (::unshare(CLONE_NEWNET) != 0) {
    throw std::runtime_error("no network namespace: root is needed");
  }
  return seed;
}

Daemon::Timing fast() {
  const Backoff quick(milliseconds(1), milliseconds(8));
  return {.reconciler = {.most_charged = milliseconds(1),
                         .retry = milliseconds(2),
                         .hold_down_first = milliseconds(1),
                         .hold_down_most = milliseconds(16),
                         .audit = milliseconds(3'600'000)},  // nothing may need it
          .host = {.debounce = milliseconds(1)},
          .waits = quick,
          .failures = quick,
          .file_writes = quick,
          .departures = {.grace = milliseconds(2), .unconfirmed = milliseconds(4)},
          .state_writer = {.delay = milliseconds(1)},
          .own_lease = {
              .renewals = quick, .between_writes = milliseconds(1), .minute = milliseconds(2)}};
}

}  // namespace

World::World(std::uint64_t seed) : story_(in_new_namespace(seed)), peers_(kPeers) {
  std::string config = kConfigs[below(std::size(kConfigs))];
  choose_firewall(config);
  network_ = *parse_network_config(config);
  backend_ = *make_backend(network_);
  scope_ = make_scope(network_, *backend_);
  choose_nexthops();
  named_interface_ = below(2) == 0;
  vandal_ = kernel_with(std::make_unique<FirewallPart>(resync()));
  make_host();
  const bool in_nodes = seed % kInNodes == 0;
  store_ = in_nodes ? make_node_store(config, directory_.path()) : make_memory_store(config);
  plant_foreign_objects();
  foreign_ = foreign_now();
  tell(fmt::format("{} named interface {}, leases in {}", config, named_interface_,
                   in_nodes ? "Nodes" : "memory"));
  start_daemon();
}

// As often as not so that peers who come and go lead from one kind of route to the other.
void World::choose_nexthops() {
  using Mode = NexthopChoice::Mode;
  constexpr Mode kModes[] = {Mode::automatic, Mode::automatic, Mode::on, Mode::off};
  const std::uint32_t mode = below(std::size(kModes));
  nexthops_ = {kModes[mode], 2 + below(3), 1 + below(2)};
  tell(fmt::format("nexthops: choice {}, from {} until {}", mode, nexthops_.from, nexthops_.until));
}

void World::start_daemon() {
  options_.subnet_file = directory_.file("subnet.env");
  options_.state_dir = directory_.file("state");
  if (named_interface_) {
    options_.iface = {"eth0"};
  }
  options_.route_nexthops = nexthops_;
  choose_rules();
  kernel_ = kernel_with(make_firewall_part(resync()));
  running_ = std::make_unique<Running>(*kernel_);
  running_->daemon.emplace(running_->io, options_, running_->faulty, *kernel_,
                           store_->open(running_->io.get_executor()), fast());
  running_->daemon->start();
}

void World::end_daemon() {
  running_.reset();
  kernel_.reset();
}

void World::run_daemon(milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (running_ && std::chrono::steady_clock::now() < end) {
    store_->run();
    running_->io.run_one_until(std::min(end, std::chrono::steady_clock::now() + store_->turn()));
    if (running_->faulty.killed()) {
      tell("  (it is gone)");
      end_daemon();
    }
  }
}

void World::step() {
  switch (below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      change_peer();
      break;
    case 4:
      change_store();
      break;
    case 5:
      change_daemon();
      break;
    case 6:
      change_host();
      break;
    case 7:
    case 8:
      change_rules();
      break;
    default:
      change_kernel();
  }
  run_daemon(milliseconds(below(3) == 0 ? 0 : below(6)));
}

// Numbers keep peers apart, so that none is refused for another's sake.
Lease World::make_peer(unsigned number) {
  const bool direct = below(2) == 0;
  const unsigned subnet = 64 + number * 4 + below(2);
  const unsigned address = 20 + number * 4 + below(2);
  const unsigned mac = number * 4 + below(2);
  const unsigned families = below(4);
  std::string key, v4 = "0.0.0.0", v6 = "null";
  if (families != 1) {
    key = fmt::format("10.5.{}.0-24", subnet);
    v4 = fmt::format("198.{}.0.{}", direct ? 18 : 19, address);
  }
  if (families != 2) {
    key += fmt::format("{}fc00:5:0:{:x}::-64", key.empty() ? "0.0.0.0-0&" : "&", subnet);
    v6 = fmt::format("\"fd{}::{:x}\"", direct ? 99 : 98, address);
  }
  const std::string type = below(8) == 0 ? "udp" : backend_->type();
  return {
      *parse_lease_key(key),
      *parse_lease_attrs(fmt::format(
          R"({{"PublicIP":"{0}","PublicIPv6":{1},"BackendType":"{2}","BackendData":{{"VtepMAC":"02:00:00:00:00:{3:02x}"}},"BackendV6Data":{{"VtepMAC":"02:00:00:00:06:{3:02x}"}}}})",
          v4, v6, type, mac)),
      {}};
}

void World::change_peer() {
  const unsigned number = below(kPeers);
  const std::string node = fmt::format("n{}", number);
  std::optional<Lease>& peer = peers_[number];
  const Lease next = make_peer(number);
  if (peer && (below(3) == 0 || peer->key != next.key)) {
    tell("peer leaves " + to_text(peer->key));
    store_->remove(node, peer->key);
    peer.reset();
    if (below(2) == 0) {
      return;
    }
  }
  tell("peer " + to_text(next.key) + " " + to_json(next.attrs));
  store_->put(node, next);
  peer = next;
}

void World::change_store() {
  store_->change(story_, running_ ? running_->daemon->state().lease() : nullptr);
}

// Through the daemon's page; that a dump is interrupted meanwhile is the asker's trouble alone.
void World::ask_for_plan() {
  if (!running_ || !running_->daemon->state().reconciler || running_->faulty.killed()) {
    return;
  }
  tell("somebody asks for the plan");
  try {
    running_->daemon->state().reconciler->preview();
  } catch (const std::system_error&) {
  }
}

void World::change_daemon() {
  if (!running_) {
    choose_nexthops();
    tell("flanneld starts");
    return start_daemon();
  }
  switch (below(4)) {
    case 0:
      tell("flanneld is stopped");
      return end_daemon();
    case 1:
      running_->faulty.live_for = 1 + below(8);
      return tell(
          fmt::format("flanneld will be killed after {} operations", running_->faulty.live_for));
    case 2:
      return ask_for_plan();
    default:
      running_->faulty.interrupted_dumps = 1 + below(2);
      running_->faulty.lose_notifications = true;
      return tell("dumps are interrupted, notifications lost");
  }
}

namespace {

NetState without_free_settings(NetState state) {
  state.of<Sysctl>().remove_if([](const Sysctl& row) { return row.key.name == kDisableIpv6; });
  return state;
}

}  // namespace

NetState World::present() {
  NetState have = without_free_settings(vandal_->dump(scope_).ours);
  have.of<Ruleset>() = listed_rules(have.of<Ruleset>());
  return have;
}

NetState World::wanted() {
  const DaemonState& state = running_->daemon->state();
  if (!state.lease()) {
    return {};
  }
  Peers peers(network_, *state.lease());
  LeaseUpdate update{.snapshot = true, .leases = store_->leases()};
  peers.apply(update);
  Paths paths;
  for (const Lease* peer : peers.usable()) {
    for (const Family family : kFamilies) {
      if (const std::optional<IpAddr>& ip = peer->attrs.public_address(family)) {
        paths[*ip] = vandal_->paths({&*ip, 1}).front();
      }
    }
  }
  const Snapshot now = vandal_->dump(scope_);
  NetState want = backend_
                      ->plan({network_,
                              *state.external(),
                              *state.lease(),
                              scope_,
                              paths,
                              {nexthops_.use(peers.usable_count(), now.ours), now.taken_nexthops}},
                             peers.usable())
                      .state;
  plan_traffic(network_, state.lease()->key,
               traffic_options(network_, options_, *masq_excluded(network_, options_)), "", want);
  return without_free_settings(std::move(want));
}

bool World::settles() {
  tell("nothing happens");
  store_->recover();
  restore_host();
  if (!running_ || running_->faulty.killed()) {
    start_daemon();
  }
  running_->faulty.live_for = std::numeric_limits<std::size_t>::max();
  const auto end = std::chrono::steady_clock::now() + kSoon;
  while (std::chrono::steady_clock::now() < end) {
    run_daemon(milliseconds(5));
    const DaemonState& state = running_->daemon->state();
    if (running_->daemon->exit_code() != 0) {
      tell("flanneld ended: " + state.reason);
      return false;
    }
    if (state.ready && state.reconciler->report().problems.empty() && present() == wanted() &&
        state.reconciler->report().shadows ==
            find_shadows(wanted().of<Route>(), vandal_->dump(scope_).foreign_routes)) {
      return true;
    }
  }
  tell("reason: " + running_->daemon->state().reason);
  return false;
}

}  // namespace flannel
