// A real kube-apiserver for tests, over a real etcd: its own ports on 127.0.0.1 and its own data,
// gone with the object. Nothing else of a cluster runs: Nodes are what the test says they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/directory_fixture.h"
#include "test/support/etcd_server.h"
#include "test/support/needs.h"
#include "test/support/server_process.h"

namespace flannel {

// What the API server answered.
struct ApiAnswer {
  int status = 0;  // of HTTP; 0: no answer
  std::string body;
};

class ApiServer {
 public:
  // Its program (`scripts/build-kube cluster`); empty where it has not been built.
  static std::string program();

  // Starts it with these flags as well, and returns when it is ready, with flannel's namespace,
  // service account and rights as packaging/kube-flannel.yml has them.
  // Another one over the same etcd is one more of the same cluster, with an authority of its own.
  explicit ApiServer(std::vector<std::string> flags = {},
                     std::shared_ptr<EtcdServer> etcd = std::make_shared<EtcdServer>());

  // `https://127.0.0.1:PORT`; the same after a restart.
  std::string url() const;
  std::uint16_t port() const { return port_.number(); }
  // Ends it (SIGKILL); what it knows stays in etcd.
  void stop() { process_.stop(); }
  // Starts it again, and returns when it is ready.
  void start();
  // It answers no more, but its connections stay (SIGSTOP), until it goes on.
  void pause() const { process_.pause(); }
  void go_on() const { process_.go_on(); }
  const std::shared_ptr<EtcdServer>& etcd() const { return etcd_; }

  // A request with the token of `user`: admin, node (system:node:n1, with a kubelet's rights), or a
  // token itself. What it answers, whatever that is.
  ApiAnswer call(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& user = "admin",
                 const std::string& type = "application/json") const;
  // The same as admin; throws with the answer where that is no success.
  std::string request(const std::string& method, const std::string& path,
                      const std::string& body = "",
                      const std::string& type = "application/json") const;
  // `kubectl WORDS` as admin, with `input` for `-f -`; throws with its output where it fails.
  std::string kubectl(std::vector<std::string> words, const std::string& input = "") const;

  // A Node as a kubelet and the controllers leave it.
  void create_node(const std::string& name, const std::vector<std::string>& pod_cidrs,
                   const std::map<std::string, std::string>& annotations = {}) const;
  void delete_node(const std::string& name) const;
  // Sets an annotation; nothing: removes it.
  void annotate(const std::string& node, const std::string& key,
                const std::optional<std::string>& value) const;
  // What a kubelet does every five minutes and at every change: a new status, nothing of ours.
  void heartbeat(const std::string& node) const;
  // Empty where it has none.
  std::string annotation(const std::string& node, const std::string& key) const;

  // A token of flannel's service account, as a pod gets it.
  std::string service_account_token() const;
  // Takes all its tokens back, and makes it anew.
  void revoke_service_account_tokens() const;
  // Makes these the rules of the ClusterRole flannel, as JSON, and returns when they are in force:
  // when flannel's account may (or may not) do what `until` says, `get nodes`.
  void set_rules(const std::string& rules, const std::string& until, bool allowed) const;

  // ca.crt, which signed its certificate; client.crt and client.key (user and group of an admin);
  // admin.kubeconfig.
  std::string file(const std::string& name) const { return directory_.file(name); }
  // What it logged.
  std::string log() const;

 private:
  void make_files() const;
  bool is_ready() const;
  std::vector<std::string> command() const;
  std::string token_of(const std::string& user) const;

  std::vector<std::string> flags_;
  TestDirectory directory_;
  std::shared_ptr<EtcdServer> etcd_;
  const ServerPort port_;
  ServerProcess process_{file("apiserver.log")};
};

#define API_SERVER_OR_SKIP() \
  ETCD_OR_SKIP();            \
  NEEDS(!::flannel::ApiServer::program().empty(), "no kube-apiserver: scripts/build-kube cluster")

}  // namespace flannel
