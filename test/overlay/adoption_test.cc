// A node moves from the Go flannel to this one and back, under traffic. FLANNELD_REFERENCE is the
// path of the Go flanneld; without it these tests are skipped, and what it leaves is tested from
// recordings alone (scenarios/adopt_*.txt).

#include "test/overlay/overlay_fixture.h"

namespace flannel {
namespace {

struct Mode {
  const char* name;
  Arguments options;
  std::vector<Family> families;
  const char* peer_data;  // of a peer that will leave

  // What a failed test is called by.
  friend void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }
};

const Mode kModes[] = {
    {"Vxlan",
     {},
     {Family::v4},
     R"("BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"})"},
    {"VxlanDual",
     {"--dual-stack"},
     {Family::v4, Family::v6},
     R"("BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"})"},
    {"HostGw", {"--backend", "host-gw"}, {Family::v4}, R"("BackendType":"host-gw")"},
    {"HostGwDual",
     {"--dual-stack", "--backend", "host-gw"},
     {Family::v4, Family::v6},
     R"("BackendType":"host-gw")"},
};

class Adoption : public OverlayFixture, public testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    const char* reference = std::getenv("FLANNELD_REFERENCE");
    if (reference == nullptr) {
      GTEST_SKIP() << "SKIPPED: FLANNELD_REFERENCE does not name a Go flanneld";
    }
    reference_ = reference;
  }
  void make_etcd_lab(const Arguments& more = {}) {
    Arguments options{"--store", "etcd"};
    options.insert(options.end(), GetParam().options.begin(), GetParam().options.end());
    options.insert(options.end(), more.begin(), more.end());
    make_lab(options);
  }

  std::string etcdctl(Arguments words) const {
    words.insert(words.begin(),
                 {"env", "ETCDCTL_API=3", "etcdctl", "--endpoints=http://198.18.0.1:2379"});
    return lab.on("net", words).output;
  }
  std::string key(const std::string& lease) const {
    return fmt::format("/flannel-lab/{}/subnets/{}", lab.name(), lease);
  }
  // The routes to peers on n1 with this protocol.
  std::size_t routes(const std::string& protocol) const {
    std::size_t count = 0;
    for (const char* family : {"-4", "-6"}) {
      const std::string list = lab.ip("n1", {family, "route", "show", "proto", protocol}).output;
      for (std::size_t at = 0; (at = list.find("/", at)) != std::string::npos; ++at) {
        ++count;
      }
    }
    return count;
  }
  void start_reference(const std::string& node = "n1") const {
    ASSERT_TRUE(lab.does({"start", node, "--flanneld", reference_}));
  }
  // A node as the Go flannel alone leaves it.
  void begin_anew_with_reference(const std::string& node = "n1") const {
    ASSERT_TRUE(lab.does({"stop", node}));
    lab.ip(node, {"link", "del", "flannel.1"});
    lab.ip(node, {"link", "del", "flannel-v6.1"});
    lab.on(node, {"sh", "-c", "ip nexthop | while read -r _ id _; do ip nexthop del id $id; done"});
    for (const char* family : {"-4", "-6"}) {
      lab.ip(node, {family, "route", "flush", "proto", "70"});
    }
    start_reference(node);
  }
  bool is_run_by_reference() const { return routes("boot") == peers() && routes("70") == 0; }
  std::size_t peers() const { return GetParam().families.size(); }
  std::vector<std::unique_ptr<Stream>> streams() const {
    std::vector<std::unique_ptr<Stream>> all;
    for (const Family family : GetParam().families) {
      all.push_back(stream(family));
    }
    return all;
  }
  static void expect_nothing_lost(const std::vector<std::unique_ptr<Stream>>& streams) {
    for (const std::unique_ptr<Stream>& packets : streams) {
      expect_no_loss(*packets);
    }
  }

  std::string reference_;
};

TEST_P(Adoption, ANodeIsTakenOverAndGivenBackWithoutALostPacket) {
  ASSERT_NO_FATAL_FAILURE(make_etcd_lab());
  ASSERT_NO_FATAL_FAILURE(begin_anew_with_reference());
  ASSERT_TRUE(eventually([&] { return is_run_by_reference(); }));
  const std::string device = lab.ip("n1", {"-br", "link"}).output;
  const std::string own_subnets = to_text(subnet_env(1).key());
  // A node that comes, and leaves while no daemon runs.
  const Prefix subnet = free_subnet();
  const std::string stale = key(to_text(LeaseKey{subnet, {}}));
  etcdctl(
      {"put", stale,
       fmt::format(R"({{"PublicIP":"198.18.0.99","PublicIPv6":null,{}}})", GetParam().peer_data)});
  ASSERT_TRUE(eventually([&] { return routes("boot") == peers() + 1; }));
  {
    const auto packets = streams();
    ASSERT_TRUE(lab.does({"stop", "n1"}));
    etcdctl({"del", stale});
    ASSERT_TRUE(lab.does({"start", "n1"}));
    EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz") == "flanneld is ready\n"; }));
    ::usleep(200'000);
    expect_nothing_lost(packets);
  }
  EXPECT_EQ(lab.ip("n1", {"-br", "link"}).output, device) << "the devices and their MACs";
  EXPECT_EQ(routes("70"), peers());
  const bool host_gw = std::string(GetParam().name).starts_with("HostGw");
  const std::string plan = lab.page(1, "/plan");
  const std::string left =
      fmt::format("# route {} via 198.18.0.99 dev eth0 proto boot", subnet.to_text());
  EXPECT_EQ(plan.starts_with(left), host_gw) << plan;
  EXPECT_EQ(plan.empty(), !host_gw) << plan;
  EXPECT_EQ(routes("boot"), host_gw ? 1U : 0U);
  if (!host_gw) {
    const std::string fdb =
        RunningProgram({"bridge", "-n", lab.name() + "-n1", "fdb"}).wait().output;
    EXPECT_EQ(fdb.find("02:00:00:00:00:99"), std::string::npos) << fdb;
  }
  {
    const auto packets = streams();
    ASSERT_TRUE(lab.does({"stop", "n1"}));
    start_reference();
    if (host_gw) {  // it keeps a route with the gateway and device that it wants
      ::usleep(2'000'000);
      EXPECT_EQ(routes("70"), peers());
    } else {
      EXPECT_TRUE(eventually([&] { return routes("boot") == peers(); }));
      EXPECT_EQ(routes("70"), 0U);
      ::usleep(200'000);
    }
    expect_nothing_lost(packets);
  }
  for (const Family family : GetParam().families) {
    EXPECT_TRUE(ping({}, family));
  }
  EXPECT_EQ(to_text(subnet_env(1).key()), own_subnets);
}

// Two nodes of each kind in one etcd.
TEST_P(Adoption, BothKindsReachEachOther) {
  ASSERT_NO_FATAL_FAILURE(make_etcd_lab({"--nodes", "4"}));
  const std::string leases = etcdctl({"get", "--prefix", "--keys-only", key("")});
  for (const char* node : {"n1", "n2"}) {
    ASSERT_NO_FATAL_FAILURE(begin_anew_with_reference(node));
  }
  EXPECT_TRUE(eventually([&] { return lab.ctl({"ping"}).status == 0; }))
      << lab.ctl({"ping"}).output;
  for (const char* verb : {"stop", "start"}) {
    ASSERT_TRUE(lab.does({verb, "n3"}));
  }
  EXPECT_TRUE(eventually([&] { return is_as_planned(3) && is_as_planned(4); }));
  EXPECT_TRUE(lab.does({"ping"}));
  EXPECT_EQ(etcdctl({"get", "--prefix", "--keys-only", key("")}), leases)
      << "each node has the subnet it had";
}

class Reuse : public Adoption {};

// What one kind's lease that expired leaves free, the other kind takes, and all others follow.
TEST_P(Reuse, AnExpiredLeaseIsTakenByTheOtherKind) {
  ASSERT_NO_FATAL_FAILURE(make_etcd_lab({"--nodes", "3", "--network", "10.5.0.0/22"}));
  const std::string all = etcdctl({"get", "--prefix", "--keys-only", key("")});
  const std::string subnet = to_text(subnet_env(1).key());
  const std::string lease = key(subnet);
  const auto is_there = [&] {
    return etcdctl({"get", lease}).find("PublicIP") != std::string::npos;
  };
  const auto end_node_and_lease = [&] {
    ASSERT_TRUE(lab.does({"stop", "n1"}));
    const std::string fields = etcdctl({"get", lease, "-w", "fields"});
    const std::size_t at = fields.find("\"Lease\" : ") + 10;
    etcdctl({"lease", "revoke",
             fmt::format("{:x}", std::stoull(fields.substr(at, fields.find('\n', at) - at)))});
    ASSERT_FALSE(is_there());
    EXPECT_TRUE(eventually([&] {
      return lab.ip("n3", {"route"}).output.find(subnet.substr(0, subnet.find('-'))) ==
             std::string::npos;
    }));
    std::filesystem::remove(lab.directory() + "/n1/subnet.env");
    lab.ip("n1", {"link", "del", "flannel.1"});
  };
  ASSERT_NO_FATAL_FAILURE(end_node_and_lease());
  start_reference();
  EXPECT_TRUE(eventually(is_there)) << "it is the only one that is free";
  EXPECT_TRUE(eventually([&] { return lab.ctl({"ping"}).status == 0; }));
  EXPECT_TRUE(eventually([&] { return is_as_planned(3); }));
  ASSERT_NO_FATAL_FAILURE(end_node_and_lease());
  ASSERT_TRUE(lab.does({"start", "n1"}));
  EXPECT_TRUE(eventually(is_there));
  EXPECT_TRUE(eventually([&] { return lab.ctl({"ping"}).status == 0; }));
  EXPECT_TRUE(eventually([&] { return is_as_planned(1) && is_as_planned(3); }));
  EXPECT_EQ(etcdctl({"get", "--prefix", "--keys-only", key("")}), all);
}

INSTANTIATE_TEST_SUITE_P(Modes, Adoption, testing::ValuesIn(kModes),
                         [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(Modes, Reuse, testing::Values(kModes[0], kModes[2]),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace flannel
