// How long the kernel itself takes for N peers: one batched apply of a whole plan, and one dump,
// in a network namespace of its own. What no daemon can beat.
// usage: kernel_floor PEERS...

#include <fmt/core.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "backend/scope.h"
#include "kernel/host_kernel.h"
#include "made_up_peers.h"
#include "reconcile/diff.h"

namespace flannel {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void measure(unsigned count, const std::string& name) {
  const BenchMode mode(name);
  if (::unshare(CLONE_NEWNET) != 0) {
    throw std::runtime_error("a network namespace is needed: run as root");
  }
  if (std::system("ip link add eth0 type veth peer name eth1 && ip addr add 198.18.0.2/15 dev eth0 "
                  "&& ip addr add fd99::2/64 dev eth0 nodad && ip link set eth0 up && ip link set "
                  "eth1 up && ip link set lo up") != 0) {
    throw std::runtime_error("the underlay could not be made");
  }
  const NetworkConfig network = *parse_network_config(mode.config());
  const std::unique_ptr<Backend> backend = *make_backend(network);
  ExternalInterface external;
  external.name = "eth0";
  external.mtu = 1500;
  LeaseKey key;
  if (mode.v4) {
    external.v4 = external.public_v4 = *IpAddr::parse("198.18.0.2");
    key.v4 = *Prefix::parse("10.1.0.0/24");
  }
  if (mode.v6) {
    external.v6 = external.public_v6 = *IpAddr::parse("fd99::2");
    key.v6 = *Prefix::parse("fc00:5:0:1::/64");
  }
  const Lease own{key, backend->announce(network, external, {{}}), {}};
  const Scope scope = make_scope(network, *backend);
  const std::vector<Lease> peers = made_up_peers(count, mode);
  HostKernel kernel;
  Paths paths;
  std::vector<const Lease*> list;
  for (const Lease& peer : peers) {
    list.push_back(&peer);
    if (backend->traits(network).uses_paths) {
      paths[*peer.attrs.public_ip] = {"eth0", std::nullopt, std::nullopt};
    }
  }

  const Node node{network, external, own, scope, paths, {}};
  Clock::time_point start = Clock::now();
  const Plan plan = backend->plan(node, list);
  const std::vector<Op> ops = diff(plan.state, {});
  const double plan_ms = ms_since(start);
  start = Clock::now();
  for (const OpResult& result : kernel.apply(ops)) {
    if (!result.ok()) {
      throw std::runtime_error(result.text);
    }
  }
  const double apply_ms = ms_since(start);
  start = Clock::now();
  const Snapshot have = kernel.dump(node.scope);
  const double dump_ms = ms_since(start);
  start = Clock::now();
  const std::size_t differences = diff(plan.state, have.ours).size();
  const double diff_ms = ms_since(start);
  fmt::print(
      R"({{"peers":{},"mode":"{}","ops":{},"plan_ms":{:.1f},"apply_ms":{:.1f},"dump_ms":{:.1f},"diff_ms":{:.1f},"differences":{}}})"
      "\n",
      count, name, ops.size(), plan_ms, apply_ms, dump_ms, diff_ms, differences);
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  try {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      const std::size_t colon = word.find(':');
      flannel::measure(static_cast<unsigned>(std::stoul(word)),
                       colon == std::string::npos ? "v4" : word.substr(colon + 1));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "kernel_floor: {}\n", error.what());
    return 1;
  }
}
