// What is made for clusters, against a real API server: the manifest, the chart, and their scripts.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "test/kube/api_server.h"
#include "test/support/shell.h"

namespace flannel {
namespace {

namespace json = boost::json;

const std::string kPackaging = FLANNEL_SOURCE_DIR "/packaging/";

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) {
    ++found;
  }
  return found;
}

// What is at a place (RFC 6901) of a document: a string's text, else its JSON.
std::string at(const json::value& in, std::string_view pointer) {
  const json::value& found = in.at_pointer(pointer);
  return found.is_string() ? std::string(found.as_string()) : json::serialize(found);
}

// Other projects change the manifest as text, with sed and Ansible: by these lines.
TEST(Manifest, KeepsTheTextThatOthersChange) {
  const std::string text = read_file(kPackaging + "kube-flannel.yml").value_or("");
  EXPECT_EQ(count(text, "\n        - --kube-subnet-mgr\n"), 1U);
  EXPECT_EQ(count(text, "\n        - --ip-masq\n"), 1U);
  EXPECT_EQ(count(text, "10.244.0.0/16"), 1U);
  EXPECT_EQ(count(text, "\"Network\": \"10.244.0.0/16\""), 1U);
  EXPECT_EQ(count(text, "\"Type\": \"vxlan\""), 1U);
  EXPECT_EQ(count(text, "image: ghcr.io/flannel-io/"), 3U);
  EXPECT_EQ(count(text, "image: "), 3U);
  EXPECT_EQ(count(text, "namespace: kube-flannel\n"), 4U);
  EXPECT_EQ(count(text, "name: kube-flannel-ds\n"), 1U);
  EXPECT_EQ(count(text, "name: kube-flannel-cfg\n"), 2U);
  EXPECT_EQ(count(text, "\n    matchLabels:\n      app: flannel\n"), 1U);
  EXPECT_LT(text.find("- name: install-cni-plugin"), text.find("- name: install-cni\n"));
}

class Packaging : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!ApiServer::program().empty() && EtcdServer::installed()) {
      server_ = std::make_unique<ApiServer>();
    }
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override { API_SERVER_OR_SKIP(); }

  static std::unique_ptr<ApiServer> server_;
};
std::unique_ptr<ApiServer> Packaging::server_;

TEST_F(Packaging, TheManifestIsValidAndKeepsWhatTheReferenceCreated) {
  const std::string manifest = kPackaging + "kube-flannel.yml";
  const std::string applied =
      server_->kubectl({"apply", "--dry-run=server", "--validate=strict", "-f", manifest});
  EXPECT_EQ(count(applied, "(server dry run)"), 6U) << applied;
  EXPECT_EQ(applied.find("Warning"), std::string::npos) << applied;
  // Its selector cannot be changed: another one would be refused where the reference runs.
  const json::value daemons = json::parse(
      server_->request("GET", "/apis/apps/v1/namespaces/kube-flannel/daemonsets/kube-flannel-ds"));
  EXPECT_EQ(json::serialize(daemons.at("spec").at("selector")),
            R"({"matchLabels":{"app":"flannel"}})");
}

// With the account that the manifest makes, as flanneld does.
TEST_F(Packaging, TheManifestGivesTheRightsThatAreNeededAndNoOthers) {
  server_->create_node("rights", {"10.244.9.0/24"});
  const std::string token = server_->service_account_token();
  const std::string patch = R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/x":"y"}}})";
  const std::string merge = "application/strategic-merge-patch+json";
  struct Case {
    std::string method, path, body;
    int status;
  };
  const Case cases[] = {
      {"GET", "/api/v1/nodes", "", 200},
      {"GET", "/api/v1/nodes/rights", "", 200},
      {"GET", "/api/v1/nodes?watch=true&timeoutSeconds=1", "", 200},
      {"GET", "/api/v1/namespaces/kube-flannel/pods/none", "", 404},
      {"PATCH", "/api/v1/nodes/rights/status", patch, 200},
      {"PATCH", "/api/v1/nodes/rights", patch, 403},
      {"DELETE", "/api/v1/nodes/rights", "", 403},
      {"GET", "/api/v1/namespaces/kube-flannel/pods", "", 403},
      {"GET", "/api/v1/namespaces/kube-flannel/secrets", "", 403},
      {"GET", "/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg", "", 403},
  };
  for (const Case& asked : cases) {
    const ApiAnswer answer = server_->call(asked.method, asked.path, asked.body, token, merge);
    EXPECT_EQ(answer.status, asked.status) << asked.method << ' ' << asked.path << answer.body;
  }
  EXPECT_EQ(server_->annotation("rights", "flannel.alpha.coreos.com/x"), "y");
}

class Chart : public Packaging {
 protected:
  void SetUp() override {
    Packaging::SetUp();
    const ProcessOutput built =
        run_process(FLANNEL_SOURCE_DIR "/scripts/build-kube", {"-n", "chart"}, "");
    NEEDS(built.status == 0, "no Helm: scripts/build-kube chart");
    render_ = built.out.substr(0, built.out.find('\n')) + "/render";
  }

  ProcessOutput render(const std::string& values,
                       const std::string& chart = kPackaging + "chart") const {
    return run_process(render_, {chart, "kube-flannel"}, values);
  }
  // The objects of the chart with these values (YAML). The API server finds nothing wrong with
  // them.
  std::map<std::string, json::value> objects(const std::string& values = "") {
    const ProcessOutput rendered = render(values);
    EXPECT_EQ(rendered.status, 0) << rendered.err;
    const json::value all = json::parse(rendered.status == 0 ? rendered.out : "[]");
    const std::string list =
        json::serialize(json::object{{"apiVersion", "v1"}, {"kind", "List"}, {"items", all}});
    EXPECT_NO_THROW(
        server_->kubectl({"apply", "--dry-run=server", "--validate=strict", "-f", "-"}, list));
    std::map<std::string, json::value> found;
    for (const json::value& object : all.as_array()) {
      found[std::string(object.at("kind").as_string())] = object;
    }
    return found;
  }
  json::value pod(const std::string& values = "") {
    return objects(values).at("DaemonSet").at_pointer("/spec/template/spec");
  }
  // net-conf.json as compact text.
  std::string network(const std::string& values = "") {
    const json::value text = objects(values).at("ConfigMap").at_pointer("/data/net-conf.json");
    return json::serialize(json::parse(text.as_string()));
  }

  std::string render_;
};

TEST_F(Chart, ByDefaultIsTheManifest) {
  const json::value daemons = objects().at("DaemonSet");
  const json::value& rendered = daemons.at_pointer("/spec/template/spec");
  const json::value applied = json::parse(
      server_->request("GET", "/apis/apps/v1/namespaces/kube-flannel/daemonsets/kube-flannel-ds"));
  EXPECT_EQ(rendered.at("volumes").as_array().size(),
            applied.at_pointer("/spec/template/spec/volumes").as_array().size());
  for (const char* path :
       {"/containers/0/volumeMounts", "/containers/0/securityContext", "/initContainers/0/image",
        "/initContainers/1/image", "/initContainers/1/args", "/containers/0/image", "/affinity",
        "/priorityClassName", "/serviceAccountName", "/hostNetwork"}) {
    EXPECT_TRUE(rendered.at_pointer(path) ==
                applied.at_pointer(std::string("/spec/template/spec") + path))
        << path;
  }
  EXPECT_EQ(at(daemons, "/spec/selector"), R"({"matchLabels":{"app":"flannel"}})");
  EXPECT_EQ(network(), R"({"Backend":{"Type":"vxlan"},"Network":"10.244.0.0/16"})");
  EXPECT_EQ(at(rendered, "/containers/0/command"),
            R"(["/opt/bin/flanneld","--ip-masq","--kube-subnet-mgr","--healthz-port=8081"])");
}

// What the unit tests of the reference's chart ask for.
TEST_F(Chart, HasTheValuesOfTheReferences) {
  const json::value images = pod(
      "flannel: {image: {repository: r.io/a, tag: v1}, flannel_cni: {image: {repository: r.io/b, "
      "tag: v2}}}");
  EXPECT_EQ(at(images, "/containers/0/image"), "r.io/a:v1");
  EXPECT_EQ(at(images, "/initContainers/1/image"), "r.io/a:v1");
  EXPECT_EQ(at(images, "/initContainers/0/image"), "r.io/b:v2");
  const json::value probed = pod();
  EXPECT_EQ(at(probed, "/containers/0/ports"),
            R"([{"containerPort":8081,"name":"healthz","protocol":"TCP"}])");
  EXPECT_EQ(
      at(probed, "/containers/0/livenessProbe"),
      R"({"httpGet":{"path":"/healthz","port":"healthz"},"initialDelaySeconds":10,"periodSeconds":30})");
  EXPECT_EQ(
      at(probed, "/containers/0/readinessProbe"),
      R"({"httpGet":{"path":"/readyz","port":"healthz"},"initialDelaySeconds":5,"periodSeconds":10})");
  const json::value silent = pod("flannel: {healthz: {port: 0}}").at_pointer("/containers/0");
  EXPECT_EQ(at(silent, "/command"), R"(["/opt/bin/flanneld","--ip-masq","--kube-subnet-mgr"])");
  for (const char* absent : {"ports", "livenessProbe", "readinessProbe"}) {
    EXPECT_FALSE(silent.as_object().contains(absent)) << absent;
  }
  EXPECT_EQ(json::serialize(pod("global: {imagePullSecrets: [{name: s}]}").at("imagePullSecrets")),
            R"([{"name":"s"}])");
  const json::value bare = pod("flannel: {skipCNIConfigInstallation: true}");
  EXPECT_EQ(bare.at("initContainers").as_array().size(), 1U);
  EXPECT_EQ(at(pod("flannel: {nodeSelector: {a.b/c: d}}"), "/nodeSelector/a.b~1c"), "d");
  EXPECT_EQ(json::serialize(pod("flannel: {tolerations: []}")).find("tolerations"),
            std::string::npos);
}

TEST_F(Chart, RendersTheNetworkOfEveryFamilyAndBackend) {
  const std::pair<const char*, const char*> cases[] = {
      {"podCidr: \"\"\npodCidrv6: fd00::/48",
       R"({"Backend":{"Type":"vxlan"},"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48"})"},
      {"podCidrv6: fd00::/48\nflannel: {enableNFTables: true}",
       R"({"Backend":{"Type":"vxlan"},"EnableIPv6":true,"EnableNFTables":true,"IPv6Network":"fd00::/48","Network":"10.244.0.0/16"})"},
      {"flannel: {backendPort: 4789, vni: 16777215, mtu: 1400, GBP: true, directRouting: true, "
       "macPrefix: 0E-2B, backendOptions: {Learning: true}}",
       R"({"Backend":{"DirectRouting":true,"GBP":true,"Learning":true,"MTU":1400,"MacPrefix":"0E-2B","Port":4789,"Type":"vxlan","VNI":16777215},"Network":"10.244.0.0/16"})"},
      {"flannel: {backend: wireguard, backendPort: 1, backendPortv6: 2, psk: k, mtu: 1400, "
       "tunnelMode: separate, keepaliveInterval: 25, vni: 7}",
       R"({"Backend":{"ListenPort":1,"ListenPortV6":2,"MTU":1400,"Mode":"separate","PSK":"k","PersistentKeepaliveInterval":25,"Type":"wireguard"},"Network":"10.244.0.0/16"})"},
      {"flannel: {backend: wireguard, tunnelMode: '\"auto\"'}",
       R"({"Backend":{"Mode":"auto","Type":"wireguard"},"Network":"10.244.0.0/16"})"},
      {"flannel: {backend: udp, backendPort: 8285}",
       R"({"Backend":{"Port":8285,"Type":"udp"},"Network":"10.244.0.0/16"})"},
      {"flannel: {backend: host-gw, vni: 7}",
       R"({"Backend":{"Type":"host-gw"},"Network":"10.244.0.0/16"})"},
      {"flannel: {backend: ipip, directRouting: true}",
       R"({"Backend":{"DirectRouting":true,"Type":"ipip"},"Network":"10.244.0.0/16"})"},
  };
  for (const auto& [values, expected] : cases) {
    EXPECT_EQ(network(values), expected) << values;
  }
}

TEST_F(Chart, HasWhatUsersAskedFor) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto all =
      objects("flannel: {image: {digest: '" + digest +
              "'}, extraArgs: [--v=1], extraEnv: [{name: A, value: b}], priorityClassName: mine, "
              "podAnnotations: {a: b}, podLabels: {app: mine, c: d}, "
              "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 20%}}}");
  const json::value& daemons = all.at("DaemonSet");
  const json::value pod = daemons.at_pointer("/spec/template");
  EXPECT_EQ(at(pod, "/spec/containers/0/image"), "ghcr.io/flannel-io/flannel-cpp@" + digest);
  EXPECT_EQ(at(pod, "/spec/containers/0/command/3"), "--v=1");
  EXPECT_EQ(at(pod, "/spec/containers/0/env/4"), R"({"name":"A","value":"b"})");
  EXPECT_EQ(at(pod, "/spec/priorityClassName"), "mine");
  EXPECT_EQ(at(pod, "/metadata/annotations/a"), "b");
  // Without its label no pod would be selected.
  EXPECT_EQ(at(pod, "/metadata/labels"), R"({"app":"flannel","c":"d","tier":"node"})");
  EXPECT_EQ(at(daemons, "/spec/updateStrategy/rollingUpdate/maxUnavailable"), "20%");
}

TEST_F(Chart, MetricsAreFoundByPrometheusWhereTheyHaveAPort) {
  const json::value without = objects().at("DaemonSet").at_pointer("/spec/template");
  EXPECT_FALSE(without.at("metadata").as_object().contains("annotations"));
  const std::string values = "metrics: {port: 9105}, podAnnotations: {a: b}";
  const json::value with =
      objects("flannel: {" + values + "}").at("DaemonSet").at_pointer("/spec/template");
  EXPECT_EQ(
      at(with, "/metadata/annotations"),
      R"({"a":"b","prometheus.io/path":"/metrics","prometheus.io/port":"9105","prometheus.io/scrape":"true"})");
  EXPECT_EQ(at(with, "/spec/containers/0/command/4"), "--metrics-addr=:9105");
  EXPECT_EQ(at(with, "/spec/containers/0/ports/0/name"), "healthz");
  EXPECT_EQ(at(with, "/spec/containers/0/ports/1"),
            R"({"containerPort":9105,"name":"metrics","protocol":"TCP"})");
  const json::value alone =
      pod("flannel: {" + values + ", healthz: {port: 0}}").at_pointer("/containers/0");
  EXPECT_EQ(at(alone, "/ports"), R"([{"containerPort":9105,"name":"metrics","protocol":"TCP"}])");
  EXPECT_FALSE(alone.as_object().contains("livenessProbe"));
  EXPECT_EQ(at(objects("flannel: {metrics: {port: 1}, podAnnotations: {prometheus.io/scrape: "
                       "'false'}}")
                   .at("DaemonSet"),
               "/spec/template/metadata/annotations/prometheus.io~1scrape"),
            "false")
      << "the user's word counts";
}

TEST_F(Chart, NetworkPoliciesKnowAPodFromItsStartOn) {
  EXPECT_EQ(pod().at("containers").as_array().size(), 1U);
  const json::value with = pod("netpol: {enabled: true}");
  const json::value& container = with.at_pointer("/containers/1");
  EXPECT_EQ(at(container, "/image"), "registry.k8s.io/networking/kube-network-policies:v1.1.1");
  EXPECT_EQ(at(container, "/command"),
            R"x(["/bin/netpol","--hostname-override=$(MY_NODE_NAME)","--v=2"])x");
  const std::string mounts = at(container, "/volumeMounts");
  for (const char* path : {"/var/run/nri", "/var/run/netns", "/lib/modules"}) {
    EXPECT_NE(mounts.find(path), std::string::npos) << path;
    EXPECT_NE(at(with, "/volumes").find(path), std::string::npos) << path;
  }
}

// An upgrade with reuse-values has no others than those of the release before.
TEST_F(Chart, WorksWithValuesThatLackWhatIsNewer) {
  const TestDirectory folder;
  std::filesystem::copy(kPackaging + "chart", folder.file("chart"),
                        std::filesystem::copy_options::recursive);
  ASSERT_TRUE(replace_file(folder.file("chart/values.yaml"),
                           "podCidr: 10.244.0.0/16\n"
                           "flannel:\n"
                           "  image: {repository: r.io/a, tag: v1}\n"
                           "  flannel_cni: {image: {repository: r.io/b, tag: v2}}\n"
                           "  cniBinDir: /opt/cni/bin\n"
                           "  cniConfDir: /etc/cni/net.d\n"
                           "  args: [--ip-masq, --kube-subnet-mgr]\n"
                           "  backend: vxlan\n"
                           "  metrics: null\n"
                           "  podLabels: null\n"
                           "  extraArgs: null\n"
                           "  cniConf: '{}'\n",
                           0644));
  const ProcessOutput rendered = render("", folder.file("chart"));
  ASSERT_EQ(rendered.status, 0) << rendered.err;
  // What images of others have, too.
  EXPECT_NE(rendered.out.find(R"(["cp","-f","/flannel","/opt/cni/bin/flannel"])"),
            std::string::npos)
      << rendered.out;
  EXPECT_NE(rendered.out.find("system-node-critical"), std::string::npos) << rendered.out;
}

TEST_F(Chart, LintRefusesWhatCannotBe) {
  EXPECT_NE(render("flannel: {args: {a: b}}").status, 0);
}

}  // namespace
}  // namespace flannel
