// Writes a local store with a configuration and N leases of made-up vxlan nodes.
// usage: fill_store PATH PEERS

#include <fmt/core.h>

#include <string>
#include <vector>

#include "base/mac.h"
#include "store/local_store.h"

namespace flannel {
namespace {

void check(const Result<void>& result) {
  if (!result) {
    throw std::runtime_error(result.error().text);
  }
}

// Peers get 10.64.0.0/24 and up; the daemon itself takes one below 10.61.0.0.
void fill(const std::string& path, unsigned count) {
  check(write_local_config(path, R"({"Network":"10.0.0.0/8","SubnetLen":24,"SubnetMin":"10.1.0.0",)"
                                 R"("SubnetMax":"10.60.255.0","Backend":{"Type":"vxlan"}})"));
  std::vector<Lease> leases;
  for (unsigned i = 0; i < count; ++i) {
    Lease lease;
    lease.key.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a400000 + (i << 8)), 24};
    lease.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6130000 + i);
    lease.attrs.backend_type = "vxlan";
    lease.attrs.backend_data =
        fmt::format(R"({{"VNI":1,"VtepMAC":"{}"}})", Mac::local(0x20000 + i).to_text());
    lease.expiry = std::chrono::system_clock::now() + std::chrono::hours(24);
    leases.push_back(std::move(lease));
  }
  check(put_local_leases(path, leases));
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
