// flanneld as distributions start it, in what a pod of theirs sees, with a real API server: flags,
// variables and network configuration as their manifests have them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "test/kube/api_server.h"
#include "test/support/lab_fixture.h"
#include "test/support/shell.h"

namespace flannel {
namespace {

constexpr const char* kAllNodes =
    R"([{"apiGroups":[""],"resources":["nodes"],"verbs":["get","list","watch"]},)"
    R"({"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]},)"
    R"({"apiGroups":[""],"resources":["pods"],"verbs":["get"]}])";
// Magnum's account may not get Nodes.
constexpr const char* kNoGet =
    R"([{"apiGroups":[""],"resources":["nodes"],"verbs":["list","watch"]},)"
    R"({"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]},)"
    R"({"apiGroups":[""],"resources":["pods"],"verbs":["get"]}])";

struct Distribution {
  std::vector<std::string> flags;
  std::vector<std::string> variables;  // beside POD_NAME and POD_NAMESPACE
  std::string network;                 // net-conf.json
  std::vector<std::string> then;       // commands that succeed when the node is ready
  const char* rules = kAllNodes;
};

// All that starts here has a network namespace of its own.
class Distributions : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() == 0 && !ApiServer::program().empty() && EtcdServer::installed()) {
      ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
      make_underlay();
      server_ = std::make_unique<ApiServer>();
    }
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    ROOT_OR_SKIP();
    API_SERVER_OR_SKIP();
  }

  void write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(replace_file(directory.file(name), text, 0644));
  }

  // Runs it as a container does: /run of its own, the account's token, the mounted ConfigMap.
  Program run(const Distribution& it) const {
    write("net-conf.json", it.network);
    write("token", server_->service_account_token());
    write("ca.crt", read_file(server_->file("ca.crt")).value());
    const std::string script = R"(
        mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /run && cd "$0" &&
        mkdir -p /run/secrets/kubernetes.io/serviceaccount /run/upper /run/work &&
        cp token ca.crt /run/secrets/kubernetes.io/serviceaccount &&
        mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc &&
        mkdir -p /etc/kube-flannel && cp net-conf.json /etc/kube-flannel && cd / &&
        exec "$@" >"$0/log" 2>&1)";
    std::vector<std::string> words = {"-i",
                                      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                      "POD_NAME=flannel",
                                      "POD_NAMESPACE=kube-flannel",
                                      "KUBERNETES_SERVICE_HOST=127.0.0.1",
                                      fmt::format("KUBERNETES_SERVICE_PORT={}", server_->port())};
    words.insert(words.end(), it.variables.begin(), it.variables.end());
    words.insert(words.end(),
                 {"unshare", "-m", "sh", "-c", script, directory.path(), program_path("flanneld")});
    words.insert(words.end(), it.flags.begin(), it.flags.end());
    return Program({.path = "/usr/bin/env", .arguments = words});
  }
  std::string log() const { return read_file(directory.file("log")).value_or(""); }

  // What flanneld says of the node when it is ready.
  static bool is_available() {
    return server_->request("GET", "/api/v1/nodes/n1").contains("\"FlannelIsUp\"");
  }

  void check(const Distribution& it) const {
    server_->set_rules(it.rules, "get nodes", it.rules == kAllNodes);
    server_->create_node("n1", {"10.244.1.0/24"});
    server_->kubectl({"apply", "-f", "-"},
                     R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"flannel",)"
                     R"("namespace":"kube-flannel"},"spec":{"nodeName":"n1",)"
                     R"("containers":[{"name":"main","image":"x"}]}})");
    {
      const Program running = run(it);
      EXPECT_TRUE(eventually([&] { return is_available(); })) << log();
      EXPECT_EQ(server_->annotation("n1", "flannel.alpha.coreos.com/public-ip"), "198.18.0.2");
      for (const std::string& command : it.then) {
        EXPECT_TRUE(eventually([&] { return succeeds(command); })) << command << '\n' << log();
      }
    }
    server_->delete_node("n1");
    shell(
        "ip -o link | sed -n 's/.*\\(flannel[-.0-9v]*\\).*/\\1/p' | xargs -rn1 ip link delete;"
        "ip route flush proto 70; iptables-save | grep -v FLANNEL | iptables-restore;"
        "nft delete table ip flannel-ipv4 2>/dev/null || true");
  }

  const TestDirectory directory;
  static std::unique_ptr<ApiServer> server_;
};
std::unique_ptr<ApiServer> Distributions::server_;

const std::string kMasquerades = "iptables-save -t nat | grep -q 'FLANNEL-POSTRTG.*MASQUERADE'";
const std::string kForwards = "iptables-save -t filter | grep -q 'FLANNEL-FWD'";

TEST_F(Distributions, KubeadmAndK3sWithoutItsOwn) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr", "--healthz-port=8081"},
         .variables = {"EVENT_QUEUE_DEPTH=5000", "CONT_WHEN_CACHE_NOT_READY=false"},
         .network = R"({"Network":"10.244.0.0/16","EnableNFTables":false,)"
                    R"("Backend":{"Type":"vxlan"}})",
         .then = {kMasquerades, kForwards, "curl -sf http://127.0.0.1:8081/readyz"}});
}

TEST_F(Distributions, Kubespray) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr", "--iface=eth0", "--iface-regex=^eth"},
         .variables = {},
         .network = R"({"Network":"10.244.0.0/16","EnableIPv4":true,"Backend":{"Type":"vxlan",)"
                    R"("VNI":1,"Port":8472,"DirectRouting":false}})",
         .then = {kMasquerades, kForwards,
                  "ip -d link show flannel.1 | grep -q 'vxlan id 1 .*dstport 8472'"}});
}

TEST_F(Distributions, Talos) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr"},
         .variables = {"EVENT_QUEUE_DEPTH=5000", "CONT_WHEN_CACHE_NOT_READY=false",
                       "GOMEMLIMIT=48MiB"},
         .network = R"({"Network":"10.244.0.0/16","EnableNFTables":true,)"
                    R"("Backend":{"Type":"vxlan","Port":4789}})",
         .then = {"nft list table ip flannel-ipv4 | grep -q masquerade",
                  "! iptables-save | grep -q FLANNEL",
                  "ip -d link show flannel.1 | grep -q 'dstport 4789'"}});
}

TEST_F(Distributions, Rke2) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr"},
         .variables = {"EVENT_QUEUE_DEPTH=5000"},
         .network = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","Port":4789,)"
                    R"("VNI":4096}})",
         .then = {kMasquerades, "ip -d link show flannel.4096 | grep -q 'dstport 4789'"}});
}

TEST_F(Distributions, CanalOfRke2) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr", "--iptables-forward-rules=false",
                   "--ip-blackhole-route"},
         .variables = {"FLANNELD_IFACE=", "FLANNELD_IFACE_REGEX=", "FLANNELD_IP_MASQ=true"},
         .network = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})",
         .then = {kMasquerades, "! " + kForwards,
                  "ip route show type blackhole | grep -q 10.244.1"}});
}

// An empty variable is none, and neither a value nor an error.
TEST_F(Distributions, CanalThatMasqueradesItself) {
  check({.flags = {"--kube-subnet-mgr", "--iptables-forward-rules=false", "--ip-blackhole-route"},
         .variables = {"FLANNELD_IFACE=", "FLANNELD_IFACE_REGEX=", "FLANNELD_IP_MASQ="},
         .network = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})",
         .then = {"! iptables-save | grep -q FLANNEL",
                  "ip route show type blackhole | grep -q 10.244.1"}});
}

TEST_F(Distributions, Kops) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr", "--iptables-resync=5"},
         .variables = {"EVENT_QUEUE_DEPTH=5000", "CONT_WHEN_CACHE_NOT_READY=false"},
         .network = R"({"Network":"10.244.0.0/16","EnableNFTables":false,)"
                    R"("Backend":{"Type":"vxlan"}})",
         .then = {kMasquerades, kForwards}});
}

TEST_F(Distributions, Magnum) {
  check({.flags = {"--ip-masq", "--kube-subnet-mgr"},
         .variables = {},
         .network = R"({"Network":"10.244.0.0/16","Subnetlen":24,"Backend":{"Type":"host-gw"}})",
         .then = {kMasquerades, kForwards},
         .rules = kNoGet});
}

// It has flanneld's flags in a file that the shell reads, quotes and all; over an etcd with
// certificates. (--state-dir is not in it, but else the test left something.)
TEST_F(Distributions, MicroK8s) {
  EtcdServer etcd(EtcdServer::Security::tls_client_certificates);
  etcd.ctl({"put", "/coreos.com/network/config",
            R"({"Network":"10.1.0.0/16","Backend":{"Type":"vxlan"}})"});
  const std::string subnet_file = directory.file("run/flannel/subnet.env");
  write("flanneld", "--iface=\"\"\n--etcd-endpoints=" + etcd.url() + "\n--etcd-cafile=" +
                        etcd.file("ca.crt") + "\n--etcd-certfile=" + etcd.file("client.crt") +
                        "\n--etcd-keyfile=" + etcd.file("client.key") +
                        "\n--subnet-file=" + subnet_file + "\n--ip-masq=true\n--state-dir=\n");
  const Program running({.path = "/bin/sh",
                         .arguments = {"-c", R"(eval exec "$0" $(cat "$1"))",
                                       program_path("flanneld"), directory.file("flanneld")}});
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(subnet_file); }));
}

}  // namespace
}  // namespace flannel
