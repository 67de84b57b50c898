#include "reconcile/diff.h"

#include <gtest/gtest.h>

#include <random>

namespace flannel {
namespace {

// A model of the kernel that knows only what diff() relies on: keys, and that a removed link takes
// everything on it along.
void apply_op(const Op& op, NetState& state);

template <class T>
void apply_row(const Op& op, const T& row, Table<T>& table) {
  if (op.verb == Op::Verb::remove) {
    EXPECT_TRUE(table.remove(row.key)) << "removes what is not there: " << to_text(op);
    return;
  }
  EXPECT_EQ(table.find(row.key) != nullptr, op.verb == Op::Verb::change) << to_text(op);
  table.put(row);
}

struct Applier {
  const Op& op;
  NetState& state;

  void operator()(const Link& link) const {
    const Link* old = state.of<Link>().find(link.key);
    if (op.verb == Op::Verb::change && old != nullptr && old->mac != link.mac) {
      state.of<Neighbour>().remove_if(
          [&](const Neighbour& n) { return n.key.dev == link.key.name; });
    }
    if (op.verb == Op::Verb::change && old != nullptr && old->mtu < 1280 && link.mtu >= 1280) {
      state.of<Sysctl>().remove_if([&](const Sysctl& s) { return s.key.dev == link.key.name; });
    }
    apply_row(op, link, state.of<Link>());
    if (op.verb != Op::Verb::remove) {
      return;
    }
    const Dev dev = link.key.name;
    state.of<Sysctl>().remove_if([&](const Sysctl& s) { return s.key.dev == dev; });
    state.of<Address>().remove_if([&](const Address& a) { return a.key.dev == dev; });
    state.of<Neighbour>().remove_if([&](const Neighbour& n) { return n.key.dev == dev; });
    state.of<FdbEntry>().remove_if([&](const FdbEntry& f) { return f.key.dev == dev; });
    state.of<Route>().remove_if([&](const Route& r) {
      const Nexthop* nexthop = state.of<Nexthop>().find({r.nexthop});
      return (nexthop != nullptr ? nexthop->dev : r.dev) == dev;
    });
    state.of<Nexthop>().remove_if([&](const Nexthop& n) { return n.dev == dev; });
  }
  template <class T>
  void operator()(const T& row) const {
    apply_row(op, row, state.of<T>());
  }
  void operator()(const Route& row) const {
    if (op.verb != Op::Verb::remove && row.nexthop != 0) {
      EXPECT_NE(state.of<Nexthop>().find({row.nexthop}), nullptr) << "dangling: " << to_text(op);
    }
    apply_row(op, row, state.of<Route>());
  }
};

void apply_op(const Op& op, NetState& state) {
  std::visit(Applier{op, state}, op.object);
}

Link vxlan_link(Dev name, std::uint32_t vni) {
  Link link;
  link.key.name = name;
  link.kind = Vxlan{vni, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
  link.mtu = 1450;
  link.alias = "flannel 10.5.0.0/16";
  return link;
}

IpAddr v4(std::uint32_t number) {
  return IpAddr::from_number(Family::v4, number);
}

// A random state in which every reference is good, small enough that two of them share keys.
NetState random_state(std::minstd_rand& random) {
  const auto below = [&random](unsigned bound) { return static_cast<unsigned>(random() % bound); };
  NetState state;
  std::vector<Dev> devs;
  for (const Dev name : {Dev("flannel.1"), Dev("flannel.2")}) {
    if (below(4) == 0) {
      continue;
    }
    Link link = vxlan_link(name, 1 + below(2));
    link.mtu = below(4) == 0 ? 1000 : 1400 + below(2);
    link.mac = Mac::local(below(2));
    link.up = below(4) != 0;
    if (below(8) == 0) {
      link.kind = OtherKind{"bridge"};
    }
    state.of<Link>().put(link);
    state.of<Sysctl>().put({{name, std::string(kAcceptRa)}, std::to_string(below(2))});
    devs.push_back(name);
  }
  for (unsigned i = below(12); i > 0 && !devs.empty(); --i) {
    const Dev dev = devs[below(devs.size())];
    const IpAddr base = v4(0x0a050000 + (below(6) << 8));
    state.of<Address>().put({{dev, {base, 32}}});
    state.of<Neighbour>().put({{dev, base}, Mac::local(below(3))});
    state.of<FdbEntry>().put({{dev, Mac::local(below(4))}, v4(0xc6120000 + below(4))});
    Route route{{{base, 24}, 0}};
    if (below(2) == 0) {
      Nexthop nexthop{{1 + below(6)}, base, dev, true};
      state.of<Nexthop>().put(nexthop);
      route.nexthop = nexthop.key.id;
    } else {
      route.via = base;
      route.dev = dev;
      route.onlink = true;
      route.protocol = below(2) == 0 ? kRouteProtocol : 3;
    }
    state.of<Route>().put(route);
  }
  return state;
}

TEST(Diff, MakesAnyStateIntoAnyOther) {
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::minstd_rand random(seed);
    const NetState want = random_state(random);
    NetState have = random_state(random);
    for (const Op& op : diff(want, have)) {
      apply_op(op, have);
    }
    ASSERT_EQ(to_text(have), to_text(want));
    ASSERT_TRUE(have == want);
    ASSERT_TRUE(diff(want, have).empty());
  }
}

TEST(Diff, ChangesAPeerInPlaceAndRemovesOnlyWhatNobodyUses) {
  NetState have;
  have.of<Link>().put(vxlan_link("flannel.1", 1));
  have.of<Neighbour>().put({{"flannel.1", v4(0x0a053d00)}, Mac::local(1)});
  have.of<FdbEntry>().put({{"flannel.1", Mac::local(1)}, v4(0xc6120003)});
  NetState want = have;
  want.of<Neighbour>().put({{"flannel.1", v4(0x0a053d00)}, Mac::local(2)});
  want.of<FdbEntry>() = Table<FdbEntry>({{{"flannel.1", Mac::local(2)}, v4(0xc6120003)}});
  std::string text;
  for (const Op& op : diff(want, have)) {
    text += to_text(op) + "\n";
  }
  EXPECT_EQ(text,
            "~ neigh 10.5.61.0 lladdr 02:00:00:00:00:02 dev flannel.1\n"
            "+ fdb 02:00:00:00:00:02 dev flannel.1 dst 198.18.0.3\n"
            "- fdb 02:00:00:00:00:01 dev flannel.1 dst 198.18.0.3\n");
}

TEST(Diff, RemovesRoutesBeforeNexthopsBeforeLinks) {
  NetState have;
  have.of<Link>().put(vxlan_link("flannel.1", 1));
  have.of<Nexthop>().put({{7}, v4(0x0a053d00), "flannel.1", true});
  Route route{{{v4(0x0a053d00), 24}, 0}};
  route.nexthop = 7;
  have.of<Route>().put(route);
  const std::vector<Op> ops = diff({}, have);
  ASSERT_EQ(ops.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<Route>(ops[0].object));
  EXPECT_TRUE(std::holds_alternative<Nexthop>(ops[1].object));
  EXPECT_TRUE(std::holds_alternative<Link>(ops[2].object));
}

TEST(Diff, RecreatesALinkOnlyForWhatCannotChangeInPlace) {
  const Link have = vxlan_link("flannel.1", 1);
  Link want = have;
  want.mtu = 1400;
  want.mac = Mac::local(9);
  std::get<Vxlan>(want.kind).learning = true;
  EXPECT_TRUE(want.changes_in_place(have));
  want = have;
  std::get<Vxlan>(want.kind).port = 4789;
  EXPECT_FALSE(want.changes_in_place(have));
  want.kind = OtherKind{"bridge"};
  EXPECT_FALSE(want.changes_in_place(have));
}

TEST(Diff, RecreatesALinkThatAnotherNetworkHad) {
  Link have = vxlan_link("flannel.1", 1), want = have;
  want.alias = "flannel 10.5.0.0/16";
  have.alias = "uplink of the overlay";
  EXPECT_TRUE(want.changes_in_place(have));
  have.alias = "flannel 10.6.0.0/16";
  EXPECT_FALSE(want.changes_in_place(have));
  have.alias = want.alias;
  EXPECT_TRUE(want.changes_in_place(have));
}

TEST(OpsOf, ARowThatComesInThePlaceOfAnotherIsNoMatterOfTheChangeAlone) {
  NetState planned;
  planned.of<Link>().put(vxlan_link("flannel.1", 1));
  planned.of<Nexthop>().put({{7}, v4(0x0a053d00), "flannel.1", true});
  NetState node;
  node.of<Link>() = planned.of<Link>();
  NetState seven = planned, eight = node, other_seven = node, other_node = seven;
  eight.of<Nexthop>().put({{8}, v4(0x0a053e00), "flannel.1", true});
  other_seven.of<Nexthop>().put({{7}, v4(0x0a053e00), "flannel.1", true});
  other_node.of<Link>().put(vxlan_link("flannel.1", 2));

  const auto joins = ops_of({node, eight}, planned);
  ASSERT_TRUE(joins);
  EXPECT_EQ(*joins, (std::vector<Op>{{Op::Verb::add, *eight.of<Nexthop>().begin()}}));
  const auto leaves = ops_of({seven, node}, planned);
  ASSERT_TRUE(leaves);
  EXPECT_EQ(*leaves, (std::vector<Op>{{Op::Verb::remove, *seven.of<Nexthop>().begin()}}));
  const auto changes = ops_of({seven, other_seven}, planned);
  ASSERT_TRUE(changes);
  EXPECT_EQ(*changes, (std::vector<Op>{{Op::Verb::change, *other_seven.of<Nexthop>().begin()}}));
  const auto nothing = ops_of({seven, seven}, planned);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());

  EXPECT_FALSE(ops_of({node, other_seven}, planned)) << "somebody else has the id";
  EXPECT_FALSE(ops_of({other_seven, node}, planned)) << "it was planned otherwise";
  EXPECT_FALSE(ops_of({eight, node}, planned)) << "it was not planned";
  EXPECT_FALSE(ops_of({other_node, seven}, planned)) << "the device is another";
  EXPECT_FALSE(ops_of({seven, other_node}, planned)) << "the device is to be another";
}

}  // namespace
}  // namespace flannel
