#include "kube/kube_access.h"

#include <utility>

#include "base/base64.h"
#include "base/file.h"
#include "base/first_error.h"
#include "base/log.h"
#include "base/printable.h"
#include "kube/exec_plugin.h"
#include "kube/kubeconfig.h"

namespace flannel {
namespace {

constexpr std::size_t kMostKubeconfig = 1 << 20;
constexpr std::size_t kMostToken = 1 << 16;

std::string url_text(const ApiTarget& target) {
  return target.endpoint.to_text() + printable(target.base_path);
}

// The value of the header. Editors and `echo` leave the end of a line behind a token.
Result<std::string> bearer(std::string token, std::string_view from) {
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) {
    token.pop_back();
  }
  for (const char c : token) {
    if (c <= ' ' || c >= '\x7f') {
      return fail("{}: no token: it has characters that one cannot have", from);
    }
  }
  return token.empty() ? fail("{}: an empty token", from) : Result<std::string>("Bearer " + token);
}

Result<std::string> bearer_of_file(const std::string& path) {
  Result<std::string> text = read_file(path, kMostToken);
  return text ? bearer(std::move(*text), path) : text;
}

// Sets which proxy `server` is reached by, if any, and logs it, as what a proxy answers is hard to
// understand otherwise. Error: which proxy cannot be used.
Result<void> set_proxy(const ProxyVariables& variables, const std::string& configured,
                       Endpoint& server) {
  if (configured.empty()) {
    Result<std::optional<Proxy>> proxy = proxy_for(variables, server);
    if (!proxy) {
      return std::unexpected(proxy.error());
    }
    server.proxy = std::move(*proxy);
  } else {
    Result<Proxy> proxy = parse_proxy(configured);
    if (!proxy) {
      return fail("proxy-url: {}", proxy.error().text);
    }
    server.proxy = std::move(*proxy);
  }
  if (server.proxy) {
    log_info("{} is reached by the proxy {}", server.to_text(),
             authority(server.proxy->host, server.proxy->port));
  }
  return {};
}

class FixedAccess : public ApiAccess {
 public:
  explicit FixedAccess(ApiTarget target) : target_(std::move(target)) {}
  std::string server() const override { return url_text(target_); }
  Task<Result<ApiTarget>> target(bool) override { co_return target_; }

 private:
  ApiTarget target_;
};

// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
class PodAccess : public ApiAccess {
 public:
  PodAccess(Endpoint endpoint, std::string folder)
      : endpoint_(std::move(endpoint)), folder_(std::move(folder)) {}

  std::string server() const override { return endpoint_.to_text(); }
  Task<Result<ApiTarget>> target(bool) override { co_return read(); }

  Result<ApiTarget> read() const {
    Result<std::string> authorization = bearer_of_file(folder_ + "/token");
    Result<Pem> ca = read_pem(folder_ + "/ca.crt");
    if (const Error* error = first_error(authorization, ca)) {
      return std::unexpected(*error);
    }
    return ApiTarget{.endpoint = endpoint_,
                     .base_path = "",
                     .tls = {.ca = std::move(*ca), .certificate = {}, .key = {}},
                     .authorization = std::move(*authorization)};
  }

 private:
  Endpoint endpoint_;
  std::string folder_;
};

class KubeconfigAccess : public ApiAccess {
 public:
  KubeconfigAccess(std::string path, std::string api_url, ProxyVariables proxies)
      : path_(std::move(path)), api_url_(std::move(api_url)), proxies_(std::move(proxies)) {}

  std::string server() const override { return server_; }

  // Reads the kubeconfig where it has changed. The program that says who we are is not run.
  Result<void> read() {
    Result<std::string> text = read_file(path_, kMostKubeconfig);
    if (!text) {
      return std::unexpected(text.error());
    }
    if (*text == text_) {
      return {};
    }
    Result<Kubeconfig> config = parse_kubeconfig(*text, path_);
    if (!config) {
      return std::unexpected(config.error());
    }
    if (!api_url_.empty()) {
      config->cluster.server = api_url_;
    }
    Result<ApiTarget> target = of_cluster(*config);
    if (!target) {
      return std::unexpected(target.error());
    }
    server_ = url_text(*target);
    target_ = std::move(*target);
    config_ = std::move(*config);
    text_ = std::move(*text);
    const std::optional<ExecCommand>& exec = config_.user.exec;
    if (!exec) {
      plugin_.reset();
    } else if (!plugin_ || plugin_->command() != *exec || plugin_->cluster() != config_.cluster) {
      plugin_ = std::make_shared<ExecPlugin>(*exec, config_.cluster);
    }
    return {};
  }

  Task<Result<ApiTarget>> target(bool rejected) override {
    if (const Result<void> read_now = read(); !read_now) {
      co_return std::unexpected(read_now.error());
    }
    ApiTarget out = target_;
    if (const Result<void> who = identify(out); !who) {
      co_return std::unexpected(who.error());
    }
    if (const std::shared_ptr<ExecPlugin> plugin = plugin_) {
      Result<ExecCredential> credential = co_await plugin->credential(rejected);
      if (!credential) {
        co_return std::unexpected(credential.error());
      }
      if (!credential->token.empty()) {
        Result<std::string> authorization = bearer(credential->token, plugin->command().command);
        if (!authorization) {
          co_return std::unexpected(authorization.error());
        }
        out.authorization = std::move(*authorization);
      }
      if (!credential->key.text.empty()) {
        out.tls.certificate = std::move(credential->certificate);
        out.tls.key = std::move(credential->key);
      }
    }
    co_return out;
  }

 private:
  Result<ApiTarget> of_cluster(const Kubeconfig& config) const {
    const KubeCluster& cluster = config.cluster;
    if (config.user.exec && config.user.exec->cluster_info && cluster.exec_settings) {
      return fail(
          "{}: exec.provideClusterInfo: settings for the plugin in the cluster's "
          "extensions are not supported",
          path_);
    }
    const bool secure =
        cluster.ca != PemSource() || !cluster.verify || config.user.certificate != PemSource();
    Result<ApiUrl> url = parse_api_url(cluster.server, secure);
    if (!url) {
      return fail("{}: server: {}", path_, url.error().text);
    }
    url->endpoint.certificate_name = cluster.certificate_name;
    if (const Result<void> set = set_proxy(proxies_, cluster.proxy_url, url->endpoint); !set) {
      return fail("{}: {}", path_, set.error().text);
    }
    return ApiTarget{.endpoint = std::move(url->endpoint),
                     .base_path = std::move(url->base_path),
                     .tls = {},
                     .authorization = ""};
  }

  // What the files say of who we are, and whom we trust.
  Result<void> identify(ApiTarget& target) const {
    const KubeUser& user = config_.user;
    Result<Pem> ca = config_.cluster.ca.read();
    Result<Pem> certificate = user.certificate.read();
    Result<Pem> key = user.key.read();
    Result<std::string> authorization = authorization_header();
    if (const Error* error = first_error(ca, certificate, key, authorization)) {
      return std::unexpected(*error);
    }
    target.tls = {.ca = std::move(*ca),
                  .certificate = std::move(*certificate),
                  .key = std::move(*key),
                  .verify = config_.cluster.verify};
    target.authorization = std::move(*authorization);
    return {};
  }

  // The value of the header, but for what an exec plugin says. Empty for none.
  Result<std::string> authorization_header() const {
    const KubeUser& user = config_.user;
    if (!user.username.empty()) {
      return "Basic " + base64_encode(user.username + ":" + user.password);
    }
    if (!user.token_file.empty()) {
      Result<std::string> of_file = bearer_of_file(user.token_file);
      if (of_file || user.token.empty()) {
        return of_file;
      }
    }
    return user.token.empty() ? "" : bearer(user.token, path_ + ": token");
  }

  std::string path_;
  std::string api_url_;  // empty: the kubeconfig's
  ProxyVariables proxies_;
  std::string text_;  // that all below is of
  Kubeconfig config_;
  ApiTarget target_;  // without the identity
  std::string server_;
  std::shared_ptr<ExecPlugin> plugin_;
};

Result<std::unique_ptr<ApiAccess>> pod_access(const KubeOptions& options) {
  if (options.service_host.empty() || options.service_port.empty()) {
    return fail(
        "this is no pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set), and "
        "neither --kubeconfig-file nor --kube-api-url is given");
  }
  const bool v6 = options.service_host.contains(':');
  const std::string host = v6 ? fmt::format("[{}]", options.service_host) : options.service_host;
  Result<Endpoint> endpoint =
      parse_endpoint(fmt::format("https://{}:{}", host, options.service_port));
  if (!endpoint) {
    return fail("KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: {}", endpoint.error().text);
  }
  if (const Result<void> set = set_proxy(options.proxies, "", *endpoint); !set) {
    return std::unexpected(set.error());
  }
  auto access = std::make_unique<PodAccess>(std::move(*endpoint), options.service_account_folder);
  if (const Result<ApiTarget> now = access->read(); !now) {
    return std::unexpected(now.error());
  }
  return access;
}

}  // namespace

Result<std::unique_ptr<ApiAccess>> make_api_access(const KubeOptions& options) {
  constexpr std::string_view kWhat = "fail to create kubernetes config";
  if (!options.kubeconfig_file.empty()) {
    auto access = std::make_unique<KubeconfigAccess>(options.kubeconfig_file, options.api_url,
                                                     options.proxies);
    if (const Result<void> read = access->read(); !read) {
      return fail("{}: {}", kWhat, read.error().text);
    }
    return access;
  }
  if (!options.api_url.empty()) {
    Result<ApiUrl> url = parse_api_url(options.api_url, false);
    if (!url) {
      return fail("{}: kube-api-url: {}", kWhat, url.error().text);
    }
    if (const Result<void> set = set_proxy(options.proxies, "", url->endpoint); !set) {
      return fail("{}: {}", kWhat, set.error().text);
    }
    return std::make_unique<FixedAccess>(ApiTarget{.endpoint = std::move(url->endpoint),
                                                   .base_path = std::move(url->base_path),
                                                   .tls = {},
                                                   .authorization = ""});
  }
  Result<std::unique_ptr<ApiAccess>> access = pod_access(options);
  return access ? std::move(access) : fail("{}: {}", kWhat, access.error().text);
}

}  // namespace flannel
