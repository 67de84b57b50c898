#include "test/kube/api_server.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <stdexcept>
#include <thread>

#include "base/file.h"
#include "base/utc_text.h"
#include "ctl/process.h"
#include "test/support/certificates.h"

namespace flannel {
namespace json = boost::json;
namespace {

constexpr std::string_view kMergePatch = "application/merge-patch+json";
constexpr std::string_view kRole = "/apis/rbac.authorization.k8s.io/v1/clusterroles/flannel";
constexpr std::string_view kAccounts = "/api/v1/namespaces/kube-flannel/serviceaccounts";
// Starting takes four seconds of processor, and machines are loaded.
constexpr std::chrono::seconds kStart{90};

void put(const std::string& path, const std::string& text) {
  if (const Result<void> written = replace_file(path, text, 0600); !written) {
    throw std::runtime_error(written.error().text);
  }
}

// Calls `is_so` until it is; throws where it does not become so.
template <class Condition>
void wait_until(const std::string& what, Condition is_so) {
  const auto end = std::chrono::steady_clock::now() + kStart;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > end) {
      throw std::runtime_error(what);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string node_path(const std::string& name, std::string_view of = "") {
  return fmt::format("/api/v1/nodes/{}{}", name, of);
}

}  // namespace

std::string ApiServer::program() {
  const ProcessOutput found =
      run_process(FLANNEL_SOURCE_DIR "/scripts/build-kube", {"-n", "cluster"}, "");
  return found.status == 0 ? found.out.substr(0, found.out.find('\n')) + "/kube" : "";
}

ApiServer::ApiServer(std::vector<std::string> flags, std::shared_ptr<EtcdServer> etcd)
    : flags_(std::move(flags)), etcd_(std::move(etcd)) {
  make_files();
  start();
  kubectl({"apply", "--validate=false", "-f", FLANNEL_SOURCE_DIR "/packaging/kube-flannel.yml"});
}

std::string ApiServer::url() const {
  return fmt::format("https://127.0.0.1:{}", port_.number());
}

void ApiServer::start() {
  process_.start(command(), port_.number(), kStart);
  wait_until("kube-apiserver is not ready", [this] { return is_ready(); });
}

bool ApiServer::is_ready() const {
  return call("GET", "/readyz").status == 200;
}

std::vector<std::string> ApiServer::command() const {
  std::vector<std::string> words = {program(),
                                    "kube-apiserver",
                                    "--etcd-servers=" + etcd_->url(),
                                    "--bind-address=127.0.0.1",
                                    "--advertise-address=198.18.0.1",
                                    "--endpoint-reconciler-type=none",
                                    fmt::format("--secure-port={}", port_.number()),
                                    "--tls-cert-file=" + file("server.crt"),
                                    "--tls-private-key-file=" + file("server.key"),
                                    "--client-ca-file=" + file("ca.crt"),
                                    "--token-auth-file=" + file("tokens"),
                                    "--authorization-mode=Node,RBAC",
                                    "--service-account-issuer=https://kubernetes.default.svc",
                                    "--service-account-key-file=" + file("accounts.key"),
                                    "--service-account-signing-key-file=" + file("accounts.key"),
                                    "--service-cluster-ip-range=10.96.0.0/16",
                                    "--disable-admission-plugins=ServiceAccount",
                                    "--allow-privileged=true"};
  words.insert(words.end(), flags_.begin(), flags_.end());
  return words;
}

void ApiServer::make_files() const {
  make_authority(directory_.path(), "ca");
  make_certificate(directory_.path(), "ca", "server", "/CN=kube-apiserver");
  make_certificate(directory_.path(), "ca", "client", "/O=system:masters/CN=client");
  run_program({"openssl", "genrsa", "-out", file("accounts.key"), "2048"});
  put(file("tokens"),
      "admin-token,admin,admin,system:masters\n"
      "node-token,system:node:n1,node,system:nodes\n");
  put(file("admin.kubeconfig"),
      json::serialize(json::object{
          {"apiVersion", "v1"},
          {"kind", "Config"},
          {"current-context", "admin"},
          {"contexts",
           {{{"name", "admin"}, {"context", {{"cluster", "test"}, {"user", "admin"}}}}}},
          {"users", {{{"name", "admin"}, {"user", {{"token", token_of("admin")}}}}}},
          {"clusters",
           {{{"name", "test"},
             {"cluster", {{"server", url()}, {"certificate-authority", file("ca.crt")}}}}}}}));
}

std::string ApiServer::token_of(const std::string& user) const {
  return user == "admin" || user == "node" ? user + "-token" : user;
}

ApiAnswer ApiServer::call(const std::string& method, const std::string& path,
                          const std::string& body, const std::string& user,
                          const std::string& type) const {
  const ProgramResult result =
      RunningProgram(
          {"curl", "-s", "--noproxy", "*", "-m", "30", "--cacert", file("ca.crt"), "-X", method,
           "-H", "Authorization: Bearer " + token_of(user), "-H", "Content-Type: " + type, "-w",
           "\n%{http_code}", "--data-binary", "@-", url() + path},
          body)
          .wait();
  const std::size_t end = result.output.rfind('\n');
  if (result.status != 0 || end == std::string::npos) {
    return {};
  }
  return {.status = std::stoi(result.output.substr(end + 1)), .body = result.output.substr(0, end)};
}

std::string ApiServer::request(const std::string& method, const std::string& path,
                               const std::string& body, const std::string& type) const {
  ApiAnswer answer = call(method, path, body, "admin", type);
  if (answer.status / 100 != 2) {
    throw std::runtime_error(fmt::format("{} {}: {} {}", method, path, answer.status, answer.body));
  }
  return std::move(answer.body);
}

std::string ApiServer::kubectl(std::vector<std::string> words, const std::string& input) const {
  std::vector<std::string> command = {program(), "kubectl",
                                      "--kubeconfig=" + file("admin.kubeconfig"),
                                      "--cache-dir=" + file("kubectl")};
  command.insert(command.end(), words.begin(), words.end());
  return run_program(command, input);
}

void ApiServer::create_node(const std::string& name, const std::vector<std::string>& pod_cidrs,
                            const std::map<std::string, std::string>& annotations) const {
  json::object spec;
  if (!pod_cidrs.empty()) {
    spec["podCIDR"] = pod_cidrs.front();
    spec["podCIDRs"] = json::array(pod_cidrs.begin(), pod_cidrs.end());
  }
  json::object notes;
  for (const auto& [key, value] : annotations) {
    notes[key] = value;
  }
  request("POST", "/api/v1/nodes",
          json::serialize(json::object{{"kind", "Node"},
                                       {"apiVersion", "v1"},
                                       {"metadata", {{"name", name}, {"annotations", notes}}},
                                       {"spec", spec}}));
  heartbeat(name);
}

void ApiServer::delete_node(const std::string& name) const {
  request("DELETE", node_path(name));
}

void ApiServer::annotate(const std::string& node, const std::string& key,
                         const std::optional<std::string>& value) const {
  const json::object changed{{key, value ? json::value(*value) : json::value(nullptr)}};
  request("PATCH", node_path(node),
          json::serialize(json::object{{"metadata", {{"annotations", changed}}}}),
          std::string(kMergePatch));
}

void ApiServer::heartbeat(const std::string& node) const {
  const std::string now = utc_text(std::chrono::system_clock::now());
  const json::object ready{{"type", "Ready"},          {"status", "True"},
                           {"lastHeartbeatTime", now}, {"lastTransitionTime", now},
                           {"reason", "KubeletReady"}, {"message", ""}};
  request("PATCH", node_path(node, "/status"),
          json::serialize(json::object{{"status", {{"conditions", json::array{ready}}}}}),
          "application/strategic-merge-patch+json");
}

std::string ApiServer::annotation(const std::string& node, const std::string& key) const {
  const json::value answer = json::parse(request("GET", node_path(node)));
  const json::object& metadata = answer.at("metadata").as_object();
  const json::value* const annotations = metadata.if_contains("annotations");
  const json::value* const value =
      annotations == nullptr ? nullptr : annotations->as_object().if_contains(key);
  return value == nullptr ? "" : std::string(value->as_string());
}

std::string ApiServer::service_account_token() const {
  const std::string answer =
      request("POST", fmt::format("{}/flannel/token", kAccounts),
              R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{}})");
  return std::string(json::parse(answer).at("status").at("token").as_string());
}

void ApiServer::revoke_service_account_tokens() const {
  const std::string old = service_account_token();
  // A token is of one account, and not of another with its name.
  request("DELETE", fmt::format("{}/flannel", kAccounts));
  request("POST", std::string(kAccounts),
          R"({"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"flannel"}})");
  wait_until("a token of flannel's account is still good",
             [&] { return call("GET", "/api/v1/nodes", "", old).status == 401; });
}

void ApiServer::set_rules(const std::string& rules, const std::string& until, bool allowed) const {
  request("PATCH", std::string(kRole), fmt::format(R"({{"rules":{}}})", rules),
          std::string(kMergePatch));
  const std::size_t blank = until.find(' ');
  const std::string question = json::serialize(json::object{
      {"kind", "SubjectAccessReview"},
      {"apiVersion", "authorization.k8s.io/v1"},
      {"spec",
       {{"user", "system:serviceaccount:kube-flannel:flannel"},
        {"resourceAttributes",
         {{"verb", until.substr(0, blank)}, {"resource", until.substr(blank + 1)}}}}}});
  wait_until("rules are not in force", [&] {
    const std::string answer =
        request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", question);
    return json::parse(answer).at("status").at("allowed").as_bool() == allowed;
  });
}

std::string ApiServer::log() const {
  return read_file(file("apiserver.log")).value_or("");
}

}  // namespace flannel
