#include "daemon/planner.h"

#include <gtest/gtest.h>

#include <random>

#include "backend/backend_fixture.h"
#include "backend/peer_routes.h"
#include "reconcile/mirror.h"

namespace flannel {
namespace {

// Every other address is on the link.
class HalfOnLink : public HostNetwork {
 public:
  HostView host() override { return {}; }
  std::vector<Path> paths(std::span<const IpAddr> to) override {
    std::vector<Path> paths;
    for (const IpAddr& ip : to) {
      const bool direct = ip.number() % 2 == 0;
      paths.push_back(
          {"eth0", direct ? std::nullopt : std::optional(*IpAddr::parse("198.18.0.1")), {}});
    }
    return paths;
  }
};

std::string network_text(const std::string& backend, bool dual) {
  return fmt::format(R"({{"Network":"10.0.0.0/8",{}"Backend":{}}})",
                     dual ? R"("EnableIPv6":true,"IPv6Network":"fc00:5::/32",)" : "", backend);
}

// Subnets of which each has the nexthop id of another one, and as many behind them that have not.
std::vector<Prefix> interesting_subnets(const TestNode& node) {
  std::vector<Lease> peers;
  for (std::uint32_t n = 0; n < 6'000; ++n) {
    peers.push_back({{Prefix{IpAddr::from_number(Family::v4, 0x0a400000 + (n << 8)), 24}, {}},
                     {IpAddr::from_number(Family::v4, 0xc6120000 + 2 * n), {}, "host-gw", {}, {}},
                     {}});
  }
  TestNode direct(*parse_network_config(network_text(R"({"Type":"host-gw"})", false)));
  for (const Lease& peer : peers) {
    direct.paths[*peer.attrs.public_ip] = {"eth0", std::nullopt, std::nullopt};
  }
  std::vector<Prefix> subnets;
  for (const Route& route : direct.plan(peers).state.of<Route>()) {
    if (route.nexthop == 0) {
      subnets.push_back(route.key.dst);
    }
  }
  EXPECT_GT(subnets.size(), 4U) << node.backend->type();
  for (std::size_t n = subnets.size(); n > 0; --n) {
    subnets.push_back(peers[n * 17].key.v4.value());
  }
  return subnets;
}

struct Wish {
  const char* backend;
  bool dual;
  friend void PrintTo(const Wish& wish, std::ostream* out) { *out << wish.backend << wish.dual; }
};

class PlannerTest : public testing::TestWithParam<Wish> {
 protected:
  PlannerTest()
      : node(*parse_network_config(network_text(GetParam().backend, GetParam().dual))),
        overlay(*make_overlay("", node.network, false)),
        peers(node.network, node.own, [this](const Lease& lease, Family family) {
          return overlay.backend->vtep_mac(lease, family);
        }) {}

  unsigned below(unsigned bound) { return static_cast<unsigned>(random() % bound); }

  // Of few nodes, some with two leases, some of another backend.
  Lease any_peer(const Prefix& subnet) {
    Lease lease = peer(subnet, below(40));
    lease.attrs.backend_type = below(12) == 0 ? "udp" : overlay.backend->type();
    return lease;
  }

  // With both families, or one of them.
  Lease peer(const Prefix& subnet, unsigned number) {
    const auto data = [&](unsigned family) {
      return fmt::format(R"({{"VNI":1,"VtepMAC":"02:00:00:00:{:02x}:{:02x}"}})", family, number);
    };
    Lease lease;
    lease.key.v4 = subnet;
    lease.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6130000 + number);
    lease.attrs.backend_type = overlay.backend->type();
    lease.attrs.backend_data = data(4);
    if (node.network.v6 && below(3) != 0) {
      lease.key.v6 = Prefix{
          IpAddr::from_number(Family::v6, ((static_cast<Uint128>(0xfc00000500000000) +
                                            static_cast<std::uint32_t>(subnet.ip.number() >> 8))
                                           << 64)),
          64};
      lease.attrs.public_ipv6 = IpAddr::from_number(
          Family::v6, (static_cast<Uint128>(0xfd99000000000000) << 64) + 0x100 + number);
      lease.attrs.backend_v6_data = data(6);
    }
    return lease;
  }

  // What the planner says of those that changed. EXPECTs that it leads to the plan of all.
  bool follow(Planner& planner, const Snapshot& kernel, NetState& want) {
    const std::optional<PlanDelta> delta = planner.plan_changes(kernel);
    const std::optional<std::vector<Op>> ops = delta ? ops_of(*delta, want) : std::nullopt;
    if (ops) {
      apply_ops(*ops, want);
    } else {
      want = planner.plan(kernel);
    }
    EXPECT_EQ(to_text(want), to_text(planner.preview(kernel)));
    return ops.has_value();
  }

  std::mt19937 random{1};
  HalfOnLink host;
  TestNode node;
  Overlay overlay;
  Peers peers;
};

// Peers that come, change and go: the difference that the planner gives for those that changed
// leads to what it plans for all.
TEST_P(PlannerTest, ThePlanOfWhatChangedLeadsToThePlanOfAll) {
  const std::vector<Prefix> subnets = interesting_subnets(node);
  Planner planner({overlay, node.external, node.own, peers}, {.from = 9, .until = 5},
                  {{.masquerade = true, .forward_rules = true}, true}, host);
  Snapshot now;
  NetState want = planner.plan(now);
  unsigned few = 0;
  for (int step = 0; step < 3'000; ++step) {
    const Lease lease = any_peer(subnets[below(static_cast<unsigned>(subnets.size()))]);
    LeaseUpdate update;
    for (const Lease* known : peers.usable()) {
      if (known->key.v4 == lease.key.v4) {
        update.removed.push_back(known->key);
      }
    }
    if (update.removed.empty() || below(3) == 0) {
      update.leases.push_back(lease);
    }
    planner.peers_changed(peers.apply(update));
    if (below(4) == 0) {
      planner.preview(now);
    }
    if (below(3) == 0) {
      continue;
    }
    now.ours = want;
    now.taken_nexthops.assign(below(2), nexthop_id(node.scope, subnets.back()));
    few += follow(planner, now, want) ? 1 : 0;
    ASSERT_FALSE(HasFailure()) << step;
  }
  EXPECT_GT(few, 100U);
}

// Of twenty thousand peers in dual stack every fiftieth that joins has the nexthop id of another:
// that is planned without all the rest as well, and so is one whose id somebody else has.
TEST_P(PlannerTest, PeersThatShareANexthopIdArePlannedTogether) {
  const std::vector<Prefix> subnets = interesting_subnets(node);
  Planner planner({overlay, node.external, node.own, peers}, {.mode = NexthopChoice::Mode::on},
                  {{}, false}, host);
  Snapshot now;
  now.taken_nexthops = {nexthop_id(node.scope, subnets.back())};
  NetState want = planner.plan(now);
  std::vector<std::optional<Lease>> there(subnets.size());
  const bool is_direct = overlay.backend->type() == "host-gw";
  for (int step = 0; step < 500; ++step) {
    const unsigned which = below(static_cast<unsigned>(subnets.size()));
    LeaseUpdate update;
    if (there[which]) {
      update.removed = {there[which]->key};
      there[which].reset();
    } else {
      // host-gw skips those that are not on the link.
      there[which] = peer(subnets[which], is_direct ? 2 * which : which);
      update.leases = {*there[which]};
    }
    planner.peers_changed(peers.apply(update));
    now.ours = want;
    ASSERT_TRUE(follow(planner, now, want)) << step;
    ASSERT_FALSE(HasFailure()) << step;
  }
  const auto plain = std::ranges::count_if(want.of<Route>(),
                                           [](const Route& route) { return route.nexthop == 0; });
  EXPECT_GT(plain, 1) << "or none of them shared an id";
}

INSTANTIATE_TEST_SUITE_P(Backends, PlannerTest,
                         testing::Values(Wish{R"({"Type":"vxlan"})", false},
                                         Wish{R"({"Type":"vxlan"})", true},
                                         Wish{R"({"Type":"vxlan","DirectRouting":true})", true},
                                         Wish{R"({"Type":"host-gw"})", true}));

}  // namespace
}  // namespace flannel
