// Writes a local store with a configuration and N leases of made-up nodes; or, with `join`, adds
// the one of number N, where those have even ones, and prints when (CLOCK_MONOTONIC, in seconds).
// usage: fill_store PATH PEERS [v4|v6|dual|host-gw [join]]

#include <fmt/core.h>

#include <chrono>
#include <string>

#include "made_up_peers.h"
#include "store/local_store.h"

namespace flannel {
namespace {

void check(const Result<void>& result) {
  if (!result) {
    throw std::runtime_error(result.error().text);
  }
}

void fill(const std::string& path, unsigned count, const BenchMode& mode, bool join) {
  if (join) {
    const Lease peer = made_up_peer(count, mode);
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    fmt::print("{:.6f}\n", now.count());
    check(put_local_leases(path, std::span(&peer, 1)));
  } else {
    check(write_local_config(path, mode.config()));
    check(put_local_leases(path, made_up_peers(count, mode)));
  }
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  if (argc < 3 || argc > 5) {
    fmt::print(stderr, "usage: fill_store PATH PEERS [v4|v6|dual|host-gw [join]]\n");
    return 2;
  }
  try {
    flannel::fill(argv[1], static_cast<unsigned>(std::stoul(argv[2])),
                  flannel::BenchMode(argc > 3 ? argv[3] : "v4"), argc > 4);
  } catch (const std::exception& error) {
    fmt::print(stderr, "fill_store: {}\n", error.what());
    return 1;
  }
}
