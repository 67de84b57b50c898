#include "network/subnet_picker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace flannel {
namespace {

Lease lease(const std::string& key, const std::string& ip, bool reserved = false) {
  Lease out;
  out.key = *parse_lease_key(key);
  const IpAddr address = *IpAddr::parse(ip);
  (address.is_v4() ? out.attrs.public_ip : out.attrs.public_ipv6) = address;
  if (!reserved) {
    out.expiry = BootClock::now();
  }
  return out;
}

AcquireRequest request(const std::string& config, const std::string& ip = "198.18.0.2") {
  AcquireRequest out;
  out.network = *parse_network_config(config);
  const IpAddr address = *IpAddr::parse(ip);
  (address.is_v4() ? out.attrs.public_ip : out.attrs.public_ipv6) = address;
  return out;
}

constexpr const char* kSixteen = R"({"Network":"10.5.0.0/16"})";
constexpr const char* kDual =
    R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})";

RandomBelow always(Uint128 number) {
  return [number](Uint128 bound) { return std::min(number, bound - 1); };
}

TEST(ChooseSubnet, ReusesTheEntryWithOurAddress) {
  const std::vector<Lease> leases = {lease("10.5.61.0-24", "198.18.0.3"),
                                     lease("10.5.77.0-24", "198.18.0.2")};
  const Choice choice = *choose_subnet(request(kSixteen), leases, always(0));
  EXPECT_EQ(to_text(choice.key), "10.5.77.0-24");
  EXPECT_TRUE(choice.reuse);
  EXPECT_FALSE(choice.permanent);
  EXPECT_TRUE(choice.discard.empty());
}

TEST(ChooseSubnet, AReservationStaysOne) {
  const std::vector<Lease> leases = {lease("10.5.77.0-24", "198.18.0.2", true)};
  EXPECT_TRUE(choose_subnet(request(kSixteen), leases, always(0))->permanent);
}

TEST(ChooseSubnet, AnEntryThatDoesNotFitIsDiscarded) {
  for (const char* key :
       {"10.9.1.0-24", "10.5.16.0-20", "10.5.0.0-24", "10.5.77.0-24&fc00:5:0:1::-64"}) {
    const std::vector<Lease> leases = {lease(key, "198.18.0.2")};
    const Choice choice = *choose_subnet(request(kSixteen), leases, always(0));
    EXPECT_EQ(to_text(choice.key), "10.5.1.0-24") << key;
    EXPECT_FALSE(choice.reuse);
    ASSERT_EQ(choice.discard.size(), 1U);
    EXPECT_EQ(to_text(choice.discard[0]), key);
  }
}

TEST(ChooseSubnet, TakesThePreviousSubnetWhereItIsFreeAndFits) {
  AcquireRequest previous = request(kSixteen);
  previous.previous = *parse_lease_key("10.5.88.0-24");
  EXPECT_EQ(to_text(choose_subnet(previous, {}, always(0))->key), "10.5.88.0-24");
  const std::vector<Lease> taken = {lease("10.5.88.128-25", "198.18.0.3")};
  EXPECT_EQ(to_text(choose_subnet(previous, taken, always(0))->key), "10.5.1.0-24");
  previous.previous = *parse_lease_key("10.9.88.0-24");
  EXPECT_EQ(to_text(choose_subnet(previous, {}, always(0))->key), "10.5.1.0-24");
}

TEST(ChooseSubnet, DualStackTakesOneOfEach) {
  const Choice choice = *choose_subnet(request(kDual), {}, always(2));
  EXPECT_EQ(to_text(choice.key), "10.5.3.0-24&fc00:5:0:3::-64");
}

TEST(ChooseSubnet, V6OnlyNodesAreToldByTheirV6Address) {
  const char* config = R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48"})";
  const std::vector<Lease> leases = {lease("0.0.0.0-0&fc00:5:0:1::-64", "fd99::3")};
  EXPECT_EQ(to_text(choose_subnet(request(config, "fd99::2"), leases, always(0))->key),
            "0.0.0.0-0&fc00:5:0:2::-64");
  EXPECT_EQ(to_text(choose_subnet(request(config, "fd99::3"), leases, always(9))->key),
            "0.0.0.0-0&fc00:5:0:1::-64");
}

TEST(ChooseSubnet, SaysWhenNoneIsLeft) {
  const char* config = R"({"Network":"10.5.0.0/22"})";
  std::vector<Lease> leases = {lease("10.5.1.0-24", "198.18.0.3"),
                               lease("10.5.2.0-24", "198.18.0.4")};
  EXPECT_EQ(to_text(choose_subnet(request(config), leases, always(0))->key), "10.5.3.0-24");
  leases.push_back(lease("10.5.3.0-24", "198.18.0.5"));
  EXPECT_EQ(choose_subnet(request(config), leases, always(0)).error().text, "out of subnets");
}

// Random leases of all lengths: what is chosen is free and in range, everything free can be
// chosen, and "out of subnets" is said exactly when nothing is.
TEST(ChooseSubnet, ChoosesEveryFreeSubnetAndNoOther) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::minstd_rand random(seed);
    const AcquireRequest wanted = request(
        R"({"Network":"10.5.0.0/20","SubnetLen":26,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.14.192"})");
    std::vector<Lease> leases;
    for (unsigned i = random() % 60; i > 0; --i) {
      const unsigned length = 22 + random() % 7;
      const Prefix prefix = Prefix{IpAddr::from_number(Family::v4, 0x0a050000 + random() % 4096),
                                   static_cast<std::uint8_t>(length)}
                                .masked();
      leases.push_back(lease(to_text(LeaseKey{prefix, {}}), "198.18.9.9"));
    }
    std::set<Prefix> free;
    for (std::uint32_t base = 0x0a050100; base <= 0x0a050ec0; base += 64) {
      const Prefix subnet{IpAddr::from_number(Family::v4, base), 26};
      if (std::none_of(leases.begin(), leases.end(),
                       [&](const Lease& l) { return l.key.v4->overlaps(subnet); })) {
        free.insert(subnet);
      }
    }
    std::set<Prefix> chosen;
    for (Uint128 number = 0; number < std::max<std::size_t>(free.size(), 1); ++number) {
      const Result<Choice> choice = choose_subnet(wanted, leases, [&](Uint128 bound) {
        EXPECT_TRUE(bound == free.size());
        return number;
      });
      ASSERT_EQ(choice.has_value(), !free.empty());
      if (choice) {
        chosen.insert(*choice->key.v4);
      }
    }
    EXPECT_EQ(chosen, free);
  }
}

TEST(ChooseSubnet, ManyV6SubnetsAreNotCountedOneByOne) {
  const char* config =
      R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/16","IPv6SubnetLen":120})";
  const RandomBelow random = random_below();
  for (int i = 0; i < 1000; ++i) {
    const Choice choice = *choose_subnet(request(config, "fd99::2"), {}, random);
    EXPECT_TRUE(Prefix::parse("fc00::/16")->contains(*choice.key.v6));
  }
}

TEST(ChooseSubnet, NeverChoosesWhatTheHostUses) {
  AcquireRequest wanted = request(R"({"Network":"10.5.0.0/22"})");
  wanted.avoid = {*Prefix::parse("10.5.1.0/25"), *Prefix::parse("10.5.3.9/32")};
  std::mt19937 engine(7);
  const RandomBelow random = [&](Uint128 bound) { return engine() % bound; };
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(to_text(choose_subnet(wanted, {}, random)->key), "10.5.2.0-24");
  }
  // Where pods have addresses already, they keep them.
  wanted.previous = *parse_lease_key("10.5.3.0-24");
  EXPECT_EQ(to_text(choose_subnet(wanted, {}, random)->key), "10.5.3.0-24");
  const Lease own = lease("10.5.1.0-24", "198.18.0.2");
  EXPECT_EQ(to_text(choose_subnet(wanted, {&own, 1}, random)->key), "10.5.1.0-24");
}

TEST(ChooseSubnet, TakesTheSubnetOfItsFormerBridgeWhereNoOtherIsFree) {
  AcquireRequest wanted = request(R"({"Network":"10.5.0.0/22"})");
  wanted.avoid = {*Prefix::parse("10.5.1.0/25"), *Prefix::parse("10.5.2.0/24")};
  const Lease taken = lease("10.5.3.0-24", "198.18.0.3");
  const RandomBelow random = random_below();
  EXPECT_EQ(to_text(choose_subnet(wanted, {&taken, 1}, random)->key), "10.5.2.0-24");
  wanted.avoid[1] = *Prefix::parse("10.5.2.0/25");
  EXPECT_FALSE(choose_subnet(wanted, {&taken, 1}, random));
}

TEST(RandomBelow, CoversItsRange) {
  const RandomBelow random = random_below();
  std::map<unsigned, unsigned> counts;
  for (int i = 0; i < 4000; ++i) {
    ++counts[static_cast<unsigned>(random(4))];
  }
  ASSERT_EQ(counts.size(), 4U);
  for (const auto& [number, count] : counts) {
    EXPECT_GT(count, 800U);
  }
}

}  // namespace
}  // namespace flannel
