// Real daemons and real packets: pods reach each other, whatever is done to a node.

#include "ctl/lab_journal.h"
#include "test/overlay/overlay_fixture.h"

namespace flannel {
namespace {

class OverlayTest : public OverlayFixture {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    make_lab({});
  }
};

TEST_F(OverlayTest, ForeignObjectsStay) {
  lab.ip("n1", {"route", "add", "192.0.2.0/24", "dev", "eth0"});
  lab.ip("n1", {"nexthop", "add", "id", "5", "dev", "eth0"});
  lab.ip("n1", {"link", "add", "other0", "type", "bridge"});
  lab.ip("n1", {"link", "del", "flannel.1"});
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); }));
  EXPECT_NE(lab.ip("n1", {"route"}).output.find("192.0.2.0/24 dev eth0"), std::string::npos);
  EXPECT_NE(lab.ip("n1", {"nexthop"}).output.find("id 5 "), std::string::npos);
  EXPECT_EQ(lab.ip("n1", {"link", "show", "other0"}).status, 0);
}

TEST_F(OverlayTest, BadPeersAreRefusedByNameAndGoodOnesAreNotAffected) {
  Lease outside = lease_of(2);
  outside.key.v4 = *Prefix::parse("10.9.0.0/24");
  Lease ourselves = lease_of(1);
  ourselves.key.v4 = free_subnet();
  ourselves.key.v4->length = 25;
  Lease overlapping = lease_of(2);
  overlapping.key.v4->length = 25;
  overlapping.attrs.public_ip = *IpAddr::parse("198.18.0.99");
  const std::vector<Lease> bad{outside, ourselves, overlapping};
  const std::unique_ptr<Stream> packets = stream();
  ASSERT_TRUE(put_local_leases(store(), bad));
  EXPECT_TRUE(eventually([&] {
    return status(1).at_pointer("/peers/refused").as_array().size() == 3;
  })) << lab.page(1, "/status");
  EXPECT_EQ(packets->stop().second, 0U);
  const std::string page = lab.page(1, "/status");
  for (const Lease& lease : bad) {
    EXPECT_NE(page.find(to_text(lease.key)), std::string::npos);
  }
  EXPECT_TRUE(is_as_planned(1));
}

TEST_F(OverlayTest, ALeaseThatIsGoneIsTakenAgainUnderTraffic) {
  const Lease before = lease_of(1);
  const std::unique_ptr<Stream> packets = stream();
  LeaseFile(store(), LeaseFile::IfMissing::refuse, [] {
    return std::chrono::system_clock::now();
  }).remove(before.key);
  EXPECT_TRUE(eventually([&] { return lease_of(1).key == before.key; }));
  EXPECT_EQ(lease_of(1).attrs, before.attrs);
  EXPECT_TRUE(eventually([&] {
    return status(2).at_pointer("/peers/count").as_int64() == 1 && is_as_planned(1) &&
           is_as_planned(2);
  }));
  packets->stop();  // the peer may have dropped us for as long as our lease was gone
  EXPECT_TRUE(ping());
}

TEST_F(OverlayTest, ALeaseThatAnotherNodeTookEndsTheDaemonAndNotTheTraffic) {
  Lease stolen = lease_of(1);
  stolen.attrs.public_ip = *IpAddr::parse("198.18.0.99");
  const Result<LabRecord> record = LabJournal(lab.directory() + "/journal").read();
  const ProcessId daemon = record->processes.at("n1");
  ASSERT_TRUE(put_local_leases(store(), std::span(&stolen, 1)));
  EXPECT_TRUE(eventually([&] { return !is_alive(daemon); }));
  const std::string log = *read_file(lab.directory() + "/n1.log");
  EXPECT_NE(log.find("is held by 198.18.0.99"), std::string::npos) << log;
  EXPECT_EQ(lab.ip("n1", {"link", "show", "flannel.1"}).status, 0);
  EXPECT_NE(lab.ip("n1", {"route"}).output.find(subnet(2).to_text()), std::string::npos);
}

TEST_F(OverlayTest, AnInterfaceThatGetsAnotherAddressIsFollowed) {
  ASSERT_EQ(lab.ip("n1", {"addr", "del", "198.18.0.11/16", "dev", "eth0"}).status, 0);
  ASSERT_EQ(lab.ip("n1", {"addr", "add", "198.18.0.111/16", "dev", "eth0"}).status, 0);
  EXPECT_TRUE(eventually([&] {
    return lease_of(1).attrs.public_ip == *IpAddr::parse("198.18.0.111") && is_as_planned(1) &&
           is_as_planned(2) && ping();
  })) << lab.page(1, "/status");
}

// Its MTU changes: subnet.env and the device follow, without a restart.
TEST_F(OverlayTest, TheUnderlaysMtuIsFollowed) {
  ASSERT_EQ(lab.ip("n1", {"link", "set", "eth0", "mtu", "1400"}).status, 0);
  EXPECT_TRUE(eventually([&] {
    const std::string env =
        read_file(fmt::format("{}/n1/subnet.env", lab.directory())).value_or("");
    return env.find("FLANNEL_MTU=1350\n") != std::string::npos && is_as_planned(1);
  }));
  EXPECT_NE(lab.ip("n1", {"link", "show", "flannel.1"}).output.find("mtu 1350"), std::string::npos);
}

// The interface vanishes, as when a driver is reloaded, and comes back with another index.
TEST_F(OverlayTest, AnInterfaceThatGoesAndComesBackIsFollowed) {
  const auto trouble = [&] {
    return std::string(status(1).at_pointer("/interface/trouble").as_string());
  };
  ASSERT_EQ(lab.ip("n1", {"link", "del", "eth0"}).status, 0);
  EXPECT_TRUE(eventually([&] { return trouble().find("eth0") != std::string::npos; }));
  EXPECT_EQ(status(1).at("state").as_string(), "degraded");
  const std::string page = lab.ctl({"status"}).output;
  EXPECT_NE(page.find(trouble()), std::string::npos) << page;
  ASSERT_EQ(lab.ip("net", {"link", "add", "n1", "type", "veth", "peer", "name", "eth0", "netns",
                           lab.name() + "-n1"})
                .status,
            0);
  ASSERT_EQ(lab.ip("net", {"link", "set", "n1", "master", "br0", "up"}).status, 0);
  ASSERT_EQ(lab.ip("n1", {"addr", "add", "198.18.0.11/16", "dev", "eth0"}).status, 0);
  ASSERT_EQ(lab.ip("n1", {"link", "set", "eth0", "up"}).status, 0);
  EXPECT_TRUE(eventually([&] { return trouble().empty() && is_as_planned(1) && ping(); }))
      << lab.page(1, "/status");
}

// systemd's MACAddressPolicy=persistent gives another MAC to devices whose own is random; that of
// ours counts as set (net/core/dev.c, NET_ADDR_SET).
TEST_F(OverlayTest, TheDevicesMacIsNoRandomOne) {
  const ProgramResult type = lab.on("n1", {"cat", "/sys/class/net/flannel.1/addr_assign_type"});
  EXPECT_EQ(type.output, "3\n");
}

// As after a reboot, with a store that forgot: the MAC is the one the peers know.
TEST_F(OverlayTest, TheMacIsTheSameWithoutAnythingThatRemembersIt) {
  const Lease before = lease_of(1);
  ASSERT_TRUE(lab.does({"stop", "n1"}));
  ASSERT_EQ(lab.ip("n1", {"link", "del", "flannel.1"}).status, 0);
  LeaseFile(store(), LeaseFile::IfMissing::refuse, [] {
    return std::chrono::system_clock::now();
  }).remove(before.key);
  ASSERT_TRUE(lab.does({"start", "n1"}));
  EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz") == "flanneld is ready\n"; }));
  EXPECT_EQ(lease_of(1).attrs, before.attrs);
  EXPECT_TRUE(eventually([&] { return ping(); }));
}

TEST_F(OverlayTest, RouterAdvertisementsAreNotHeard) {
  EXPECT_EQ(lab.on("n1", {"cat", "/proc/sys/net/ipv6/conf/flannel.1/accept_ra"}).output, "0\n");
}

// A floating address that comes and goes is no reason to make the device and the lease anew, not
// even where ours came by DHCP.
TEST_F(OverlayTest, AnAddressBesideOursChangesNothing) {
  ASSERT_EQ(lab.ip("n1", {"addr", "change", "198.18.0.11/16", "dev", "eth0", "valid_lft", "3600",
                          "preferred_lft", "3600"})
                .status,
            0);
  const Lease before = lease_of(1);
  const std::string device = lab.ip("n1", {"-o", "link", "show", "flannel.1"}).output;
  for (const char* address : {"198.18.0.211/16", "198.18.0.212/32"}) {
    ASSERT_EQ(lab.ip("n1", {"addr", "add", address, "dev", "eth0"}).status, 0);
  }
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); }));
  EXPECT_EQ(lease_of(1).attrs, before.attrs);
  EXPECT_EQ(lab.ip("n1", {"-o", "link", "show", "flannel.1"}).output, device);
  EXPECT_TRUE(ping());
}

}  // namespace
}  // namespace flannel
