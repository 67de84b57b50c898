// Masquerading and the check of MACs on a real host.
#include "cni/firewall/masquerade.h"

#include "cni/firewall/mac_spoof_check.h"
#include "test/cni/pod_fixture.h"

namespace flannel::cni {
namespace {

class MasqueradeOf : public PodTest, public testing::WithParamInterface<const char*> {
 protected:
  static Masquerade of(const std::string& id, const std::string& ifname = "eth0") {
    return {.network = "cbr0",
            .attachment = {id, ifname},
            .addresses = {*Prefix::parse("10.244.1.5/24"), *Prefix::parse("fd00:1::5/64")},
            .backend = GetParam()};
  }
};

TEST_P(MasqueradeOf, HidesTheContainerOutsideItsSubnet) {
  const EchoServer outside(*outside_, 80, 53);
  outside_->shell(
      "ip route add 10.244.1.0/24 via 198.18.0.2; ip route add fd00:1::/64 via fd00:2::2");
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "198.18.0.3", 80), "10.244.1.5");
  set_up_masquerade(of("c1"));
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "198.18.0.3", 80), "198.18.0.2");
  EXPECT_EQ(ask_from(*pod_, SOCK_DGRAM, "198.18.0.3", 53), "198.18.0.2");
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "fd00:2::3", 80), "fd00:2::2");
  tear_down_masquerade("cbr0", {"c1", "eth0"});
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "198.18.0.3", 80), "10.244.1.5");
}

TEST_P(MasqueradeOf, SetUpTwiceIsThereOnceAndGoesWhole) {
  set_up_masquerade(of("other"));
  const std::string before = rules();
  set_up_masquerade(of("c1"));
  const std::string once = rules();
  set_up_masquerade(of("c1"));
  EXPECT_EQ(rules(), once);
  tear_down_masquerade("cbr0", {"c1", "eth0"});
  EXPECT_EQ(rules(), before);
  tear_down_masquerade("cbr0", {"c1", "eth0"});
  EXPECT_EQ(rules(), before);
}

TEST_P(MasqueradeOf, GoesWhateverElseTheTableHas) {
  fill_nat_table();
  for (const std::vector<IpAddr>& known :
       {std::vector<IpAddr>(), {*IpAddr::parse("10.244.1.5"), *IpAddr::parse("fd00:1::5")}}) {
    set_up_masquerade(of("c1"));
    tear_down_masquerade("cbr0", {"c1", "eth0"}, known);
    EXPECT_EQ(rules().find("\"c1\""), std::string::npos);
  }
  set_up_masquerade(of("c1"));
  collect_masquerade("cbr0", {});
  EXPECT_EQ(rules().find("\"c1\""), std::string::npos);
}

TEST_P(MasqueradeOf, OfASecondInterfaceComesAndGoesAlone) {
  set_up_masquerade(of("c1"));
  Masquerade second = of("c1", "eth1");
  second.addresses = {*Prefix::parse("10.244.2.5/24")};
  set_up_masquerade(second);
  const std::string both = rules();
  EXPECT_NE(both.find("10.244.1.5"), std::string::npos);
  EXPECT_NE(both.find("10.244.2.5"), std::string::npos);
  tear_down_masquerade("cbr0", {"c1", "eth1"}, {*IpAddr::parse("10.244.2.5")});
  const std::string first = rules();
  EXPECT_NE(first.find("10.244.1.5"), std::string::npos);
  EXPECT_EQ(first.find("10.244.2.5"), std::string::npos);
  tear_down_masquerade("cbr0", {"c1", "eth0"},
                       {*IpAddr::parse("10.244.1.5"), *IpAddr::parse("fd00:1::5")});
  EXPECT_EQ(rules().find("\"c1\""), std::string::npos);
}

TEST_P(MasqueradeOf, GarbageIsWhatIsNotNamedOfTheNetwork) {
  set_up_masquerade(of("gone"));
  set_up_masquerade(of("here"));
  Masquerade elsewhere = of("elsewhere");
  elsewhere.network = "cbr";
  set_up_masquerade(elsewhere);
  collect_masquerade("cbr0", {{"here", "eth0"}});
  const std::string left = shell("iptables-save -t nat; nft list ruleset");
  EXPECT_EQ(left.find("gone"), std::string::npos);
  EXPECT_NE(left.find("here"), std::string::npos);
  EXPECT_NE(left.find("elsewhere"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Backends, MasqueradeOf, testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

class MacSpoofCheck : public PodTest {
 protected:
  // An answer to ARP counts: the container sends it with the MAC that it has now.
  bool passes(const std::string& mac) const {
    pod_->shell("ip link set eth0 address " + mac);
    shell("ip neigh flush dev cni0");
    return run_process("/bin/sh", {"-c", "ping -c1 -W1 10.244.1.5"}, "").status == 0;
  }
};

TEST_F(MacSpoofCheck, LetsOnlyTheContainersMacPass) {
  const std::string given = "02:00:00:00:00:05", other = "02:00:00:00:00:06";
  EXPECT_TRUE(passes(other));
  set_up_mac_spoof_check({"c1", "eth0"}, "veth0", given);
  EXPECT_FALSE(passes(other));
  EXPECT_TRUE(passes(given));
  tear_down_mac_spoof_check({"c1", "eth0"});
  EXPECT_TRUE(passes(other));
}

TEST_F(MacSpoofCheck, SetUpTwiceIsThereOnceAndGoesWhole) {
  set_up_mac_spoof_check({"other", "eth0"}, "veth9", "02:00:00:00:00:09");
  const std::string before = rules();
  set_up_mac_spoof_check({"c1", "eth0"}, "veth0", "02:00:00:00:00:05");
  const std::string once = rules();
  set_up_mac_spoof_check({"c1", "eth0"}, "veth0", "02:00:00:00:00:05");
  EXPECT_EQ(rules(), once);
  tear_down_mac_spoof_check({"c1", "eth0"});
  EXPECT_EQ(rules(), before);
  tear_down_mac_spoof_check({"c1", "eth0"});
  EXPECT_EQ(rules(), before);
}

TEST_F(MacSpoofCheck, ChainsWithoutTheirEntryGoToo) {
  set_up_mac_spoof_check({"c1", "eth0"}, "veth0", "02:00:00:00:00:05");
  shell("nft flush chain bridge nat PREROUTING");
  tear_down_mac_spoof_check({"c1", "eth0"});
  EXPECT_EQ(rules().find("c1-eth0"), std::string::npos);
}

}  // namespace
}  // namespace flannel::cni
