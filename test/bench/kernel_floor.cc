// How long the kernel itself takes for N peers: one batched apply of a whole plan, and one dump,
// in a network namespace of its own. What no daemon can beat.
// usage: kernel_floor PEERS...

#include <fmt/core.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "backend/scope.h"
#include "kernel/netlink_kernel.h"
#include "made_up_peers.h"
#include "reconcile/diff.h"

namespace flannel {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void measure(unsigned count) {
  if (::unshare(CLONE_NEWNET) != 0) {
    throw std::runtime_error("a network namespace is needed: run as root");
  }
  if (std::system("ip link add eth0 type veth peer name eth1 && ip addr add 198.18.0.2/24 dev eth0 "
                  "&& ip link set eth0 up && ip link set eth1 up && ip link set lo up") != 0) {
    throw std::runtime_error("the underlay could not be made");
  }
  const NetworkConfig network =
      *parse_network_config(R"({"Network":"10.0.0.0/8","Backend":{"Type":"vxlan"}})");
  const std::unique_ptr<Backend> backend = *make_backend(network);
  ExternalInterface external;
  external.name = "eth0";
  external.mtu = 1500;
  external.v4 = external.public_v4 = *IpAddr::parse("198.18.0.2");
  const Lease own{*parse_lease_key("10.1.0.0-24"), backend->announce(network, external, {}), {}};
  const Scope scope = make_scope(network, *backend);
  const Node node{network, external, own, scope, {}, {}};
  const std::vector<Lease> peers = made_up_peers(count);
  NetlinkKernel kernel;

  Clock::time_point start = Clock::now();
  const Plan plan = backend->plan(node, peers);
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
      R"({{"peers":{},"ops":{},"plan_ms":{:.1f},"apply_ms":{:.1f},"dump_ms":{:.1f},"diff_ms":{:.1f},"differences":{}}})"
      "\n",
      count, ops.size(), plan_ms, apply_ms, dump_ms, diff_ms, differences);
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  try {
    for (int i = 1; i < argc; ++i) {
      flannel::measure(static_cast<unsigned>(std::stoul(argv[i])));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "kernel_floor: {}\n", error.what());
    return 1;
  }
}
