// Members of an etcd cluster die, freeze, lose each other or the nodes, and forget their history,
// while nodes join, leave and change. In the end every node's kernel has what the leases say.
//
// FLANNEL_SEEDS=N tries N seeds (2), from FLANNEL_FIRST_SEED (1) on. A failure prints its seed and
// all that happened; FLANNEL_SEEDS=1 FLANNEL_FIRST_SEED=SEED plays it again.

#include "test/overlay/etcd_cluster.h"

#include <map>
#include <random>
#include <sstream>

#include "base/file.h"
#include "ctl/status_client.h"
#include "network/lease.h"
#include "test/support/lab_fixture.h"
#include "test/support/seeds.h"

namespace flannel {
namespace {

constexpr unsigned kNodes = 3;
constexpr unsigned kPeers = 12;  // that have a lease and no node
constexpr unsigned kSteps = 40;
const std::string kPrefix = "/cluster";

// One peer a line: its subnet, its VTEP's MAC, its address.
using View = std::set<std::string>;

std::string mac_of(const std::string& data) {
  const std::size_t at = data.find("VtepMAC\":\"");
  return at == std::string::npos ? "?" : data.substr(at + 10, 17);
}

class ClusterWorld {
 public:
  explicit ClusterWorld(std::uint64_t seed)
      : cluster_(fmt::format("c{}", ::getpid() % 1000000), kNodes), random_(seed) {
    tell("seed {}", seed);
    cluster_.ctl(
        {"put", kPrefix + "/config",
         R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan"}})"});
  }
  ~ClusterWorld() {
    for (unsigned i = 1; i <= kNodes; ++i) {
      end_node(i, true);
    }
  }
  ClusterWorld(const ClusterWorld&) = delete;
  ClusterWorld& operator=(const ClusterWorld&) = delete;

  void step() {
    switch (below(4)) {
      case 0:
        change_member(1 + below(EtcdCluster::kMembers));
        break;
      case 1:
        change_node(1 + below(kNodes));
        break;
      default:
        change_peer(1 + below(kPeers));
    }
    ::usleep(below(500) * 1000);
  }

  // Empty once every node has what the leases say, or else what is wrong.
  std::string settle() {
    tell("all is well again");
    cluster_.heal();
    for (unsigned i = 1; i <= kNodes; ++i) {
      start_node(i);
    }
    std::string wrong;
    eventually([&] { return (wrong = what_is_wrong()).empty(); }, std::chrono::seconds(60));
    return wrong;
  }
  std::string story() const {
    std::string out = story_;
    for (unsigned i = 1; i <= kNodes; ++i) {
      out += fmt::format("n{}:\n{}", i, read_file(log_of(i)).value_or(""));
    }
    return out;
  }

 private:
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
  template <class... Arguments>
  void tell(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    story_ += fmt::format(text, std::forward<Arguments>(arguments)...) + "\n";
  }

  void change_member(unsigned i) {
    const unsigned other = 1 + i % EtcdCluster::kMembers;
    const unsigned what = below(8);
    static constexpr const char* kNames[] = {"dies",         "freezes",
                                             "is cut off",   "loses the next member",
                                             "loses a node", "forgets its history",
                                             "starts",       "and all others are well again"};
    tell("member {} {}", i, kNames[what]);
    switch (what) {
      case 0:
        return cluster_.kill(i);
      case 1:
        return cluster_.pause(i);
      case 2:
        return cluster_.isolate(i);
      case 3:
        cluster_.cut(cluster_.place('m', i), EtcdCluster::member_address(other));
        return cluster_.cut(cluster_.place('m', other), EtcdCluster::member_address(i));
      case 4:
        return cluster_.cut(cluster_.place('m', i), EtcdCluster::node_address(1 + below(kNodes)));
      case 5:
        return compact();
      case 6:
        return cluster_.start(i);
      default:
        return cluster_.heal();
    }
  }

  void compact() {
    const std::string status =
        cluster_.ctl({"get", "/nothing", "-w", "fields"}).value_or("\"Revision\" : 0\n");
    const std::size_t at = status.find("\"Revision\" : ") + 13;
    cluster_.ctl({"compact", status.substr(at, status.find('\n', at) - at)});
  }

  void change_peer(unsigned i) {
    const std::string key = fmt::format("{}/subnets/10.5.{}.0-24", kPrefix, i);
    if (below(3) == 0) {
      tell("peer {} leaves{}", i, cluster_.ctl({"del", key}) ? "" : ", or not");
      return;
    }
    std::vector<std::string> put = {
        "put", key,
        fmt::format(R"({{"PublicIP":"198.18.{0}.{1}","PublicIPv6":null,"BackendType":"vxlan",)"
                    R"("BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:{0:02x}:{1:02x}"}}}})",
                    1 + below(4), i)};
    if (below(4) == 0) {  // for a short time
      const std::string granted = cluster_.ctl({"lease", "grant", "4"}).value_or("lease 0 ");
      put.push_back("--lease=" + granted.substr(6, granted.find(' ', 6) - 6));
    }
    tell("peer {} is {}{}", i, put[2], cluster_.ctl(put) ? "" : ", or not");
  }

  void change_node(unsigned i) {
    if (nodes_[i]) {
      const bool kill = below(2) == 0;
      tell("node {} {}", i, kill ? "is killed" : "is stopped");
      end_node(i, kill);
    } else {
      tell("node {} starts", i);
      start_node(i);
    }
  }
  void start_node(unsigned i) {
    if (nodes_[i]) {
      return;
    }
    const std::string folder = cluster_.file(fmt::format("n{}", i));
    std::filesystem::create_directories(folder);
    nodes_[i] =
        start_detached({TestLab::binary("flanneld"), "--etcd-endpoints=" + cluster_.endpoints(),
                        "--etcd-prefix=" + kPrefix, "--iface=eth0",
                        "--subnet-file=" + folder + "/subnet.env", "--state-dir=" + folder},
                       cluster_.place('n', i), log_of(i), [](const ProcessId&) {});
  }
  void end_node(unsigned i, bool kill) {
    if (nodes_[i]) {
      end_process(*nodes_[i], kill);
      nodes_[i].reset();
    }
  }
  std::string log_of(unsigned i) const { return cluster_.file(fmt::format("n{}.log", i)); }

  std::string what_is_wrong() {
    const std::optional<std::string> listed =
        cluster_.ctl({"get", "--prefix", kPrefix + "/subnets/"});
    if (!listed) {
      return "etcd does not answer";
    }
    for (unsigned i = 1; i <= kNodes; ++i) {
      const View want = expected(*listed, EtcdCluster::node_address(i));
      const View have = kernel(i);
      if (want != have) {
        return fmt::format("node {} has\n  {}\nand should have\n  {}", i, fmt::join(have, "\n  "),
                           fmt::join(want, "\n  "));
      }
      const Result<Page> ready =
          get_page(cluster_.file(fmt::format("n{}/flanneld.sock", i)), "/readyz");
      if (!ready || ready->body != "flanneld is ready\n") {
        return fmt::format("node {}: {}", i, ready ? ready->body : ready.error().text);
      }
    }
    return "";
  }

  // Of all leases but that of the node with this address.
  static View expected(const std::string& listed, const std::string& own) {
    View view;
    std::istringstream lines(listed);
    for (std::string key, value; std::getline(lines, key);) {
      if (!key.starts_with(kPrefix)) {
        continue;  // etcdctl's complaints about members
      }
      std::getline(lines, value);
      const LeaseAttrs attrs = parse_lease_attrs(value).value();
      if (attrs.public_ip->to_text() != own) {
        view.insert(fmt::format("{} {} {}", parse_lease_key(key)->v4->to_text(),
                                mac_of(attrs.backend_data), attrs.public_ip->to_text()));
      }
    }
    return view;
  }

  // Words 1 and N of each line that a program prints.
  std::map<std::string, std::string> words(const Arguments& command, std::size_t n) const {
    std::map<std::string, std::string> out;
    std::istringstream lines(RunningProgram(command).wait().output);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream text(line);
      std::string first, word;
      text >> first;
      for (std::size_t i = 1; i < n; ++i) {
        text >> word;
      }
      out[first] = word;
    }
    return out;
  }
  // From the node's routes, neighbours and FDB entries; each without the others is a line as well.
  View kernel(unsigned i) const {
    const std::string node = cluster_.place('n', i);
    auto macs =
        words({"ip", "-n", node, "neigh", "show", "dev", "flannel.1", "nud", "permanent"}, 3);
    auto remotes = words({"bridge", "-n", node, "fdb", "show", "dev", "flannel.1"}, 3);
    View view;
    for (const auto& [subnet, unused] :
         words({"ip", "-n", node, "-4", "route", "show", "dev", "flannel.1"}, 1)) {
      const auto mac = macs.extract(subnet.substr(0, subnet.find('/')));
      const auto remote = remotes.extract(mac.empty() ? "" : mac.mapped());
      view.insert(fmt::format("{} {} {}", subnet, mac.empty() ? "-" : mac.mapped(),
                              remote.empty() ? "-" : remote.mapped()));
    }
    for (const auto& left : {macs, remotes}) {
      for (const auto& [key, value] : left) {
        view.insert(fmt::format("left: {} {}", key, value));
      }
    }
    return view;
  }

  EtcdCluster cluster_;
  std::mt19937_64 random_;
  std::vector<std::optional<ProcessId>> nodes_{kNodes + 1};
  std::string story_;
};

class EtcdClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ETCD_OR_SKIP();
  }
};

TEST_F(EtcdClusterTest, NodesAgreeWithTheLeasesWhateverHappensToTheMembers) {
  const auto [first, end] = seeds(2);
  for (std::uint64_t seed = first; seed < end; ++seed) {
    ClusterWorld world(seed);
    for (unsigned step = 0; step < kSteps; ++step) {
      world.step();
    }
    const std::string wrong = world.settle();
    ASSERT_EQ(wrong, "") << world.story();
  }
}

}  // namespace
}  // namespace flannel
