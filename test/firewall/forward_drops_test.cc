// What is said of chains of others that drop packets of pods, as their programs make them.
#include "firewall/forward_drops.h"

#include "test/firewall/firewall_part_fixture.h"

namespace flannel {
namespace {

class ForwardDropsTest : public FirewallPartTest {
 protected:
  static std::string found() {
    const std::array networks = {kNetworkV4.network, kNetworkV6.network};
    const std::array devices = {Dev("flannel.1"), Dev("flannel-v6.1")};
    return fmt::format("{}", fmt::join(find_forward_drops(networks, devices), "\n"));
  }
  static std::string said_of(const std::string& chain) {
    return fmt::format(
        "{} may drop forwarded packets of pods, whatever other chains accept: let it accept {}",
        chain, (chain.starts_with("IPv4") ? kNetworkV4 : kNetworkV6).network.to_text());
  }
};

TEST_F(ForwardDropsTest, AChainOfNftablesThatDropsIsNamedUnlessItMayAcceptPods) {
  ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
  EXPECT_EQ(found(), "");
  shell(
      "nft 'add table ip others; add chain ip others fw "
      "{ type filter hook forward priority 10; policy drop; }'");
  const std::string said = said_of("IPv4: chain fw of table ip others");
  EXPECT_EQ(found(), said);
  for (const char* rule : {"ip saddr 10.6.0.0/16 accept", "ip daddr 10.5.1.0/24 accept",
                           "iifname eth0 accept", "ct state established accept"}) {
    shell(fmt::format("nft add rule ip others fw {}", rule));
    EXPECT_EQ(found(), said) << rule;
  }
  for (const char* rule : {"ip saddr 10.5.0.0/16 accept", "ip daddr 10.0.0.0/8 accept",
                           "ip saddr 10.0.0.0/13 accept", "iifname flannel.1 accept"}) {
    shell(fmt::format("nft 'flush chain ip others fw; add rule ip others fw {}'", rule));
    EXPECT_EQ(found(), "") << rule;
  }
}

// As of firewalld: no policy, and what no zone takes is rejected.
TEST_F(ForwardDropsTest, AChainThatRejectsAllAtItsEndIsNamed) {
  shell(
      "nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD "
      "{ type filter hook forward priority 10; policy accept; }; "
      "add chain inet firewalld zones; "
      "add rule inet firewalld filter_FORWARD ct state established accept; "
      "add rule inet firewalld filter_FORWARD jump zones; "
      "add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited'");
  EXPECT_EQ(found(), said_of("IPv4: chain filter_FORWARD of table inet firewalld") + "\n" +
                         said_of("IPv6: chain filter_FORWARD of table inet firewalld"));
  shell("nft add rule inet firewalld zones ip saddr 10.5.0.0/16 accept");
  EXPECT_EQ(found(), said_of("IPv6: chain filter_FORWARD of table inet firewalld"));
}

// As of docker and ufw. Ours go before the policy, and not before what another has put in front.
TEST_F(ForwardDropsTest, ThePolicyOfIptablesMattersWhereOurRulesAreNotInItsWay) {
  for (const std::string kind : {"nft", "legacy"}) {
    use(kind);
    shell(
        "iptables -P FORWARD DROP; ip6tables -A FORWARD -s fd00:5::/48 -j ACCEPT; "
        "ip6tables -P FORWARD DROP");
    const std::string said = said_of(kind == "nft" ? "IPv4: chain FORWARD of table ip filter"
                                                   : "IPv4: chain FORWARD of the legacy iptables");
    EXPECT_EQ(found(), said);
    ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
    EXPECT_EQ(found(), said) << "an accept of another table does not help";
    ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
    EXPECT_EQ(found(), "");
    shell("iptables -I FORWARD -s 192.0.2.0/24 -j DROP");
    EXPECT_EQ(found(), "");
    shell("iptables -I FORWARD -j REJECT");
    EXPECT_EQ(found(), said);
    ASSERT_EQ(apply(NetState()), "");
    shell(
        "iptables -F FORWARD; iptables -P FORWARD ACCEPT; "
        "ip6tables -F FORWARD; ip6tables -P FORWARD ACCEPT");
    EXPECT_EQ(found(), "");
  }
}

}  // namespace
}  // namespace flannel
