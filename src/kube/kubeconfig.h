// A kubeconfig: which API server, and as whom. What kubectl and kubelet are given.
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "rpc/endpoint.h"
#include "rpc/tls.h"

namespace flannel {

// PEM text that stands in the kubeconfig, or the file that it is in.
struct PemSource {
  std::string path;  // empty: `data` it is
  Pem data;          // without a name: there is none

  Result<Pem> read() const { return path.empty() ? Result<Pem>(data) : read_pem(path); }
  bool operator==(const PemSource&) const = default;
};

struct KubeCluster {
  std::string server;  // URL
  PemSource ca;
  bool verify = true;
  std::string certificate_name;  // tls-server-name
  std::string proxy_url;         // may have a password
  // It has settings for exec plugins (`client.authentication.k8s.io/exec`), which we do not hand
  // on.
  bool exec_settings = false;
  bool operator==(const KubeCluster&) const = default;
};

// A program that says who we are.
struct ExecCommand {
  std::string command;  // absolute, or of PATH
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string api_version;
  std::string install_hint;  // what to do where it is missing
  bool cluster_info = false;
  bool operator==(const ExecCommand&) const = default;
};

struct KubeUser {
  std::string token;
  std::string token_file;  // goes over `token` while it can be read
  std::string username, password;
  PemSource certificate, key;
  std::optional<ExecCommand> exec;
  bool operator==(const KubeUser&) const = default;
};

// What its current context names.
struct Kubeconfig {
  KubeCluster cluster;
  KubeUser user;
};

// `path` is the text's file, which relative paths in it are relative to. What we cannot do is
// refused: auth-provider, impersonation. Error: names file and field, and has no secrets.
Result<Kubeconfig> parse_kubeconfig(std::string_view text, const std::string& path);

struct ApiUrl {
  Endpoint endpoint;
  std::string base_path;  // no slash at its end
};

// `https://HOST:PORT/PATH`. Without a scheme it is `https` where `secure`, else `http`, as in
// kubectl.
Result<ApiUrl> parse_api_url(std::string_view text, bool secure);

}  // namespace flannel
