// Writes a local store with a configuration and N leases of made-up vxlan nodes.
// usage: fill_store PATH PEERS

#include <fmt/core.h>

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

// The daemon itself takes a subnet below those of the peers.
void fill(const std::string& path, unsigned count) {
  check(write_local_config(path, R"({"Network":"10.0.0.0/8","SubnetLen":24,"SubnetMin":"10.1.0.0",)"
                                 R"("SubnetMax":"10.60.255.0","Backend":{"Type":"vxlan"}})"));
  check(put_local_leases(path, made_up_peers(count)));
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: fill_store PATH PEERS\n");
    return 2;
  }
  try {
    flannel::fill(argv[1], static_cast<unsigned>(std::stoul(argv[2])));
  } catch (const std::exception& error) {
    fmt::print(stderr, "fill_store: {}\n", error.what());
    return 1;
  }
}
