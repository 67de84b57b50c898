// A program that says who we are to the API server, as a kubeconfig names one.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/signal.h"
#include "base/task.h"
#include "kube/kubeconfig.h"

namespace flannel {

struct ExecCredential {
  std::string token;  // empty: the certificate it is
  Pem certificate, key;
  std::optional<std::chrono::system_clock::time_point> expires;
  bool operator==(const ExecCredential&) const = default;
};

// The plugin's output: an ExecCredential object of this version. Error: says nothing of what is
// secret in it.
Result<ExecCredential> parse_exec_credential(std::string_view text, const std::string& api_version);

class ExecPlugin {
 public:
  // The program is told of `cluster` where `command` wants that (cluster_info).
  ExecPlugin(ExecCommand command, const KubeCluster& cluster);

  // What it said last, until that expires; runs it where there is nothing, or `fresh` is wanted.
  // All who ask meanwhile get the answer of that run. Error: names the program.
  Task<Result<ExecCredential>> credential(bool fresh);

  const ExecCommand& command() const { return command_; }
  const KubeCluster& cluster() const { return cluster_; }

 private:
  class Running;

  Task<Result<ExecCredential>> run();

  ExecCommand command_;
  KubeCluster cluster_;
  std::optional<Result<ExecCredential>> last_;  // nothing while it runs
  bool running_ = false;
  Signal ended_;
};

}  // namespace flannel
