// Keys and values that the Go flannel wrote to etcd (recorded/record_leases.sh), byte for byte: we
// read them, and write the same in its place.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "backend/backend.h"
#include "store/etcd_entry.h"

namespace flannel {
namespace {

struct Recorded {
  std::string config, key, value;
};

std::vector<Recorded> recorded() {
  std::ifstream file(FLANNEL_SOURCE_DIR "/test/recorded/reference_leases.txt");
  std::vector<Recorded> all;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Recorded one;
    std::getline(fields, one.config, '\t');
    std::getline(fields, one.key, '\t');
    std::getline(fields, one.value, '\t');
    all.push_back(one);
  }
  return all;
}

// The devices that the MACs of a lease belong to.
Table<Link> devices(const LeaseAttrs& attrs, const ExternalInterface& external) {
  Table<Link> devices;
  for (const Family family : kFamilies) {
    const std::size_t at = attrs.data(family).find("VtepMAC\":\"");
    if (at == std::string::npos) {
      continue;
    }
    Link link;
    link.key.name = Dev(family == Family::v4 ? "flannel.1" : "flannel-v6.1");
    link.kind = Vxlan{
        .vni = 1, .local = external.public_address(family), .lower = external.name, .port = 8472};
    link.mac = *Mac::parse(attrs.data(family).substr(at + 10, 17));
    devices.put(link);
  }
  return devices;
}

TEST(RecordedLeases, AreReadAndWrittenTheSame) {
  ASSERT_EQ(recorded().size(), 10U);
  const EtcdLayout layout("/coreos.com/network");
  for (const Recorded& lease : recorded()) {
    const Result<LeaseKey> key = parse_lease_key(lease.key);
    ASSERT_TRUE(key) << lease.key;
    EXPECT_EQ(layout.lease_key(*key), lease.key);
    const Result<LeaseAttrs> attrs = parse_lease_attrs(lease.value);
    ASSERT_TRUE(attrs) << lease.value;
    EXPECT_EQ(to_json(*attrs), lease.value);
  }
}

// The same node, had it our daemon.
TEST(RecordedLeases, AreWhatWeWouldHaveWritten) {
  const ExternalInterface external{.name = "eth0",
                                   .mtu = 1500,
                                   .v4 = IpAddr::parse("198.18.0.2").value(),
                                   .v6 = IpAddr::parse("fd99::2").value(),
                                   .public_v4 = IpAddr::parse("198.18.0.2").value(),
                                   .public_v6 = IpAddr::parse("fd99::2").value()};
  unsigned compared = 0;
  for (const Recorded& lease : recorded()) {
    const NetworkConfig network = parse_network_config(lease.config).value();
    if (network.backend_type != "vxlan" && network.backend_type != "host-gw") {
      continue;  // those that move packets between nodes of both kinds
    }
    ExternalInterface used = external;
    for (const auto& [enabled, own, published] :
         {std::tuple(network.v4.has_value(), &used.v4, &used.public_v4),
          std::tuple(network.v6.has_value(), &used.v6, &used.public_v6)}) {
      if (!enabled) {
        own->reset();
        published->reset();
      }
    }
    const LeaseAttrs attrs = parse_lease_attrs(lease.value).value();
    const std::unique_ptr<Backend> backend = make_backend(network).value();
    EXPECT_EQ(to_json(backend->announce(network, used, {devices(attrs, used)})), lease.value);
    ++compared;
  }
  EXPECT_EQ(compared, 6U);
}

}  // namespace
}  // namespace flannel
