// The lease store goes away and comes back, changed or not, under real daemons: the overlay stays,
// and a node that reboots meanwhile has its overlay back from what it last knew.

#include <filesystem>
#include <stdexcept>

#include "store/sqlite.h"
#include "test/overlay/overlay_fixture.h"
#include "test/support/etcd_server.h"

namespace flannel {
namespace {

class Outage : public OverlayFixture {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ETCD_OR_SKIP();
    etcd_.emplace();
    make_lab({"--store", "etcd=" + etcd_->url()});
  }
  std::string key(const std::string& name) const {
    return fmt::format("/flannel-lab/{}/{}", lab.name(), name);
  }
  std::string lease_key(unsigned node) const {
    return key("subnets/" + to_text(subnet_env(node).key()));
  }
  std::string state(unsigned node) const {
    return std::string(status(node).at("state").as_string());
  }
  // What a reboot leaves of a node: its disk.
  void reboot(unsigned node) const {
    const std::string name = fmt::format("n{}", node);
    ASSERT_TRUE(lab.does({"stop", name, "--kill"}));
    lab.ip(name, {"link", "del", "flannel.1"});
    std::filesystem::remove(fmt::format("{}/{}/subnet.env", lab.directory(), name));
    ASSERT_TRUE(lab.does({"start", name}));
  }
  // Until the last known state on its disk has the other node.
  bool has_written(unsigned node) const {
    return eventually([&] {
      const std::string folder = fmt::format("{}/n{}/state", lab.directory(), node);
      std::error_code none;
      for (const auto& file : std::filesystem::directory_iterator(folder, none)) {
        try {
          return Database(file.path()).number("SELECT COUNT(*) FROM leases") > 0;
        } catch (const std::runtime_error&) {  // it is being made
        }
      }
      return false;
    });
  }

  std::optional<EtcdServer> etcd_;
};

TEST_F(Outage, ANodeThatRebootsMeanwhileHasItsOverlayBackAtOnce) {
  ASSERT_TRUE(has_written(1));
  const std::string subnet_before = subnet(1).to_text();
  etcd_->stop();
  reboot(1);
  EXPECT_TRUE(eventually([&] {
    return lab.page(1, "/readyz").starts_with("flanneld is ready (from last known state of 20");
  })) << lab.page(1, "/status");
  EXPECT_EQ(subnet(1).to_text(), subnet_before);
  EXPECT_TRUE(eventually([&] { return ping(); }));
  EXPECT_EQ(state(1), "degraded");
  EXPECT_NE(lab.page(1, "/status").find("\"last_known_state_of\":\"20"), std::string::npos);

  const std::unique_ptr<Stream> packets = stream();
  etcd_->start();
  EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz") == "flanneld is ready\n"; }))
      << lab.page(1, "/status");
  EXPECT_TRUE(eventually([&] { return state(1) == "ready" && is_as_planned(1); }));
  EXPECT_EQ(packets->stop().second, 0U);
}

// While the store is away nothing is removed; what left meanwhile goes when it is back.
TEST_F(Outage, WhatLeftMeanwhileGoesWhenTheStoreIsBack) {
  const Prefix another = free_subnet();
  const std::string lease = key("subnets/" + to_text(LeaseKey{another, {}}));
  etcd_->ctl({"put", lease,
              R"({"PublicIP":"198.18.0.99","PublicIPv6":null,"BackendType":"vxlan",)"
              R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}})"});
  const auto has_route = [&] {
    return lab.ip("n1", {"route"}).output.find(another.to_text()) != std::string::npos;
  };
  ASSERT_TRUE(eventually(has_route));
  ASSERT_TRUE(lab.does({"stop", "n1"}));
  etcd_->ctl({"del", lease});
  etcd_->stop();
  ASSERT_TRUE(lab.does({"start", "n1"}));
  EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz").starts_with("flanneld is ready"); }));
  ::usleep(300'000);
  EXPECT_TRUE(has_route()) << "nothing is removed on doubt";
  etcd_->start();
  EXPECT_TRUE(eventually([&] { return !has_route() && is_as_planned(1); }));
}

TEST_F(Outage, ALastKnownStateOfAnotherConfigurationEndsWithTheStoresReturn) {
  ASSERT_TRUE(lab.does({"stop", "n1"}));
  etcd_->ctl({"put", key("config"), R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}})"});
  etcd_->stop();
  ASSERT_TRUE(lab.does({"start", "n1"}));
  EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz").starts_with("flanneld is ready"); }));
  etcd_->start();
  EXPECT_TRUE(eventually([&] {
    return read_file(lab.directory() + "/n1.log")
               .value_or("")
               .find("the network configuration changed while the store was away") !=
           std::string::npos;
  }));
}

// A wiped store, filled again by the daemons themselves: each takes its own subnet again.
TEST_F(Outage, AWipedStoreIsFilledAgainUnderTraffic) {
  const std::string one = lease_key(1), two = lease_key(2);
  const std::unique_ptr<Stream> packets = stream();
  etcd_->stop();
  etcd_->erase_data();
  etcd_->start();
  etcd_->ctl({"put", key("config"), R"({"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}})"});
  EXPECT_TRUE(eventually([&] {
    const std::string all = etcd_->ctl({"get", "--prefix", "--keys-only", key("subnets/")});
    return all.find(one) != std::string::npos && all.find(two) != std::string::npos;
  })) << read_file(lab.directory() + "/n1.log").value_or("")
      << read_file(lab.directory() + "/n2.log").value_or("")
      << etcd_->ctl({"get", "--prefix", "/", "-w", "fields"});
  EXPECT_TRUE(eventually([&] { return state(1) == "ready" && is_as_planned(1) && ping(); }));
  EXPECT_EQ(packets->stop().second, 0U);
}

// Deleted or expired: taken again at once, under traffic.
TEST_F(Outage, ALostLeaseIsTakenAgainUnderTraffic) {
  const std::unique_ptr<Stream> packets = stream();
  for (const unsigned node : {1U, 2U}) {
    const std::string lease = lease_key(node);
    const std::string fields = etcd_->ctl({"get", lease, "-w", "fields"});
    const std::size_t at = fields.find("\"Lease\" : ") + 10;
    const std::string id =
        fmt::format("{:x}", std::stoull(fields.substr(at, fields.find('\n', at) - at)));
    etcd_->ctl(node == 1 ? std::vector<std::string>{"del", lease}
                         : std::vector<std::string>{"lease", "revoke", id});
    EXPECT_TRUE(eventually([&] {
      return etcd_->ctl({"get", lease, "-w", "fields"}).find("\"Version\" : 1\n") !=
             std::string::npos;
    })) << lease;
  }
  EXPECT_TRUE(eventually([&] { return is_as_planned(1) && is_as_planned(2); }));
  EXPECT_EQ(packets->stop().second, 0U);
}

// Away and back: a line for each, whatever was tried meanwhile. That it is back is no warning.
TEST_F(Outage, AnOutageIsTwoLinesInTheLog) {
  const auto lines = [&](const std::string& severity, const std::string& text) {
    const std::string log = read_file(lab.directory() + "/n1.log").value_or("");
    unsigned count = 0;
    for (std::size_t at = 0; (at = log.find("\n" + severity, at)) != std::string::npos; ++at) {
      count += log.substr(at + 1, log.find('\n', at + 1) - at).find(text) != std::string::npos;
    }
    return count;
  };
  const unsigned before = lines("W", "");
  etcd_->stop();
  EXPECT_TRUE(eventually([&] { return state(1) == "degraded"; }));
  ::usleep(3'000'000);
  etcd_->start();
  EXPECT_TRUE(eventually([&] { return state(1) == "ready"; }));
  EXPECT_EQ(lines("I", "well again"), 1U);
  EXPECT_EQ(lines("W", "") - before, 1U) << read_file(lab.directory() + "/n1.log").value_or("");
}

}  // namespace
}  // namespace flannel
