#include "kube/kube_access.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <filesystem>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "base/loop_fixture.h"
#include "base/utc_text.h"

namespace flannel {
namespace {

class KubeAccessTest : public LoopTest {
 protected:
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    ASSERT_TRUE(replace_file(directory.file(name), text, mode));
  }

  // The way in that the options lead to, for the calls below.
  std::string open() {
    Result<std::unique_ptr<ApiAccess>> made = make_api_access(options);
    access = made ? std::move(*made) : nullptr;
    return made ? access->server() : made.error().text;
  }
  Result<ApiTarget> target(bool rejected = false) {
    Result<ApiTarget> out;
    flannel::LoopTest::run(take(*access, rejected, out));
    return out;
  }
  // What a request would say of who we are, or why it cannot be made.
  std::string who(bool rejected = false) {
    const Result<ApiTarget> now = target(rejected);
    return now ? now->authorization : now.error().text;
  }

  TestDirectory directory;
  KubeOptions options;
  std::unique_ptr<ApiAccess> access;

 private:
  static Task<bool> take(ApiAccess& access, bool rejected, Result<ApiTarget>& out) {
    out = co_await access.target(rejected);
    co_return true;
  }
};

TEST_F(KubeAccessTest, APodIsAskedForNothing) {
  options.service_host = "fd99::1";
  options.service_port = "443";
  options.service_account_folder = directory.path();
  // As kubelet keeps them: links into a folder that is exchanged as a whole.
  std::filesystem::create_directory(directory.file("..1"));
  std::filesystem::create_directory(directory.file("..2"));
  write("..1/token", "one\n");
  write("..2/token", "two");
  write("..1/ca.crt", "CA");
  write("..2/ca.crt", "CA 2");
  std::filesystem::create_symlink("..1", directory.file("..data"));
  std::filesystem::create_symlink("..data/token", directory.file("token"));
  std::filesystem::create_symlink("..data/ca.crt", directory.file("ca.crt"));
  EXPECT_EQ(open(), "https://[fd99::1]:443");
  EXPECT_EQ(who(), "Bearer one");
  EXPECT_EQ(target()->tls.ca.text, "CA");
  std::filesystem::create_symlink("..2", directory.file("..data_tmp"));
  std::filesystem::rename(directory.file("..data_tmp"), directory.file("..data"));
  EXPECT_EQ(who(), "Bearer two");
  EXPECT_EQ(target()->tls.ca.text, "CA 2");
}

// As client-go does it.
TEST_F(KubeAccessTest, AProxyIsTheKubeconfigsOrThatOfTheVariables) {
  const auto kubeconfig = [&](const std::string& field) {
    write("config",
          "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters:\n"
          "- name: c\n  cluster:\n    server: https://kube.test:6443\n" +
              field);
    options.kubeconfig_file = directory.file("config");
    return open();
  };
  const auto proxy = [&] {
    const std::optional<Proxy> found = target()->endpoint.proxy;
    return found ? authority(found->host, found->port) : "";
  };
  options.proxies = {.https = "http://one:3128", .http = "", .no_proxy = "kube.test"};
  kubeconfig("");
  EXPECT_EQ(proxy(), "");
  kubeconfig("    proxy-url: http://u:geheim@two:8080\n");
  EXPECT_EQ(proxy(), "two:8080") << "NO_PROXY says nothing of this one";
  EXPECT_EQ(kubeconfig("    proxy-url: socks5://u:geheim@two:8080\n"),
            "fail to create kubernetes config: " + directory.file("config") +
                ": proxy-url: a proxy of the scheme \"(hidden)\" is not supported, one with "
                "http:// is");
  options.proxies.no_proxy = "";
  kubeconfig("");
  EXPECT_EQ(proxy(), "one:3128");
  options.proxies.https = "https://one";
  EXPECT_TRUE(kubeconfig("").contains("HTTPS_PROXY: a proxy of the scheme \"https\" is not"));
  options.kubeconfig_file = "";
  options.api_url = "http://kube.test:8080";
  options.proxies.http = "three";
  open();
  EXPECT_EQ(proxy(), "three:80");
  write("token", "one");
  write("ca.crt", "CA");
  options.api_url = "";
  options.service_host = "10.96.0.1";
  options.service_port = "443";
  options.service_account_folder = directory.path();
  EXPECT_EQ(open(),
            "fail to create kubernetes config: HTTPS_PROXY: a proxy of the scheme \"https\" is not "
            "supported, one with http:// is; NO_PROXY may name 10.96.0.1, so that it is reached "
            "directly");
  options.proxies.no_proxy = "10.96.0.0/12";
  open();
  EXPECT_EQ(proxy(), "");
}

TEST_F(KubeAccessTest, NowhereIsSaidAtOnce) {
  EXPECT_EQ(open(),
            "fail to create kubernetes config: this is no pod (KUBERNETES_SERVICE_HOST and "
            "KUBERNETES_SERVICE_PORT are not set), and neither --kubeconfig-file nor "
            "--kube-api-url is given");
  options.service_host = "10.96.0.1";
  options.service_port = "443";
  options.service_account_folder = directory.path();
  EXPECT_EQ(open(), "fail to create kubernetes config: open " + directory.file("token") +
                        ": No such file or directory");
  write("token", "a\nb");
  EXPECT_EQ(open(), "fail to create kubernetes config: " + directory.file("token") +
                        ": no token: it has characters that one cannot have");
  options.kubeconfig_file = directory.file("config");
  EXPECT_EQ(open(), "fail to create kubernetes config: open " + options.kubeconfig_file +
                        ": No such file or directory");
}

TEST_F(KubeAccessTest, AUrlAloneIsNobody) {
  options.api_url = "http://127.0.0.1:8080/api/";
  EXPECT_EQ(open(), "http://127.0.0.1:8080/api");
  EXPECT_EQ(who(), "");
  EXPECT_EQ(target()->base_path, "/api");
  options.api_url = "ftp://a";
  EXPECT_EQ(open(),
            "fail to create kubernetes config: kube-api-url: endpoint \"ftp://a\": scheme "
            "is not http, https, unix or unixs");
}

std::string config_of(const std::string& user, const std::string& cluster = "") {
  return "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: u}}]\n"
         "clusters: [{name: b, cluster: {server: 'https://kube.test:6443'" +
         cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]";
}

TEST_F(KubeAccessTest, AKubeconfigIsFollowed) {
  options.kubeconfig_file = directory.file("config");
  write("config", config_of("username: admin, password: 'p:q'", ", tls-server-name: kubernetes"));
  EXPECT_EQ(open(), "https://kube.test:6443");
  EXPECT_EQ(who(), "Basic YWRtaW46cDpx");
  EXPECT_EQ(target()->endpoint.certificate_name, "kubernetes");
  EXPECT_TRUE(target()->tls.verify);
  write("config", config_of("token: t", ", insecure-skip-tls-verify: true"));
  EXPECT_EQ(who(), "Bearer t");
  EXPECT_FALSE(target()->tls.verify);
  write("config", "half of i");
  EXPECT_EQ(who(), options.kubeconfig_file + ": no kubeconfig");
  write("config", config_of("client-certificate: a.crt, client-key: a.key"));
  EXPECT_EQ(who(), "open " + directory.file("a.crt") + ": No such file or directory");
  write("a.crt", "certificate");
  write("a.key", "key");
  EXPECT_EQ(target()->tls.key, (Pem{directory.file("a.key"), "key"}));
}

TEST_F(KubeAccessTest, ATokenFileGoesOverTheTokenWhileItIsThere) {
  options.kubeconfig_file = directory.file("config");
  options.api_url = "https://10.0.0.1:6443";
  write("config", config_of("token: t, tokenFile: token"));
  EXPECT_EQ(open(), "https://10.0.0.1:6443");
  EXPECT_EQ(who(), "Bearer t");
  write("token", "of the file");
  EXPECT_EQ(who(), "Bearer t");  // which no token is
  write("token", "file");
  EXPECT_EQ(who(), "Bearer file");
}

class ExecPluginTest : public KubeAccessTest {
 protected:
  // A plugin that does `script`, and has said so in `runs`.
  std::string open_with(const std::string& script, const std::string& more = "",
                        const std::string& cluster = "") {
    write("plugin", "#!/bin/sh\necho \"$@ $WHO\" >> " + directory.file("runs") + "\n" + script,
          0700);
    options.kubeconfig_file = directory.file("config");
    write("config",
          config_of("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin, "
                    "args: [a, b], env: [{name: WHO, value: we}]" +
                        more + "}",
                    cluster));
    return open();
  }
  static std::string answer(const std::string& status) {
    return "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":"
           "\"ExecCredential\",\"status\":{" +
           status + "}}'";
  }
  std::string runs() { return read_file(directory.file("runs")).value_or(""); }
};

TEST_F(ExecPluginTest, IsRunWhenThereIsNothingNewerToSay) {
  EXPECT_EQ(open_with(answer(R"("token":"one")")), "https://kube.test:6443");
  EXPECT_EQ(runs(), "");
  EXPECT_EQ(who(), "Bearer one");
  EXPECT_EQ(who(), "Bearer one");
  EXPECT_EQ(runs(), "a b we\n");
  EXPECT_EQ(who(true), "Bearer one");
  EXPECT_EQ(runs(), "a b we\na b we\n");
}

TEST_F(ExecPluginTest, WhatExpiredIsAskedForAgain) {
  open_with(answer(R"("token":"one","expirationTimestamp":"2020-01-01T00:00:00Z")"));
  EXPECT_EQ(who(), "Bearer one");
  EXPECT_EQ(who(), "Bearer one");
  EXPECT_EQ(runs(), "a b we\na b we\n");
  open_with(answer(R"("token":"two","expirationTimestamp":"2220-01-01T00:00:00+01:00")"));
  EXPECT_EQ(who(), "Bearer two");
  EXPECT_EQ(who(), "Bearer two");
  EXPECT_EQ(runs(), "a b we\na b we\na b we\n");
}

TEST_F(ExecPluginTest, ARunThatWasCancelledKeepsNobodyWaiting) {
  open_with("test -e " + directory.file("ready") + " || exec sleep 600\n" +
            answer(R"("token":"one")"));
  asio::cancellation_signal stop;
  bool has_ended = false;
  asio::co_spawn(loop, access->target(false),
                 asio::bind_cancellation_slot(
                     stop.slot(), [&](const std::exception_ptr&, const Result<ApiTarget>&) {
                       has_ended = true;
                     }));
  run_until([&] { return !runs().empty(); });
  stop.emit(asio::cancellation_type::terminal);
  run_until([&] { return has_ended; });
  write("ready", "");
  EXPECT_EQ(who(), "Bearer one");
}

TEST_F(ExecPluginTest, MaySayACertificate) {
  open_with(answer(R"("clientCertificateData":"C","clientKeyData":"K")"));
  const Result<ApiTarget> now = target();
  ASSERT_TRUE(now) << now.error().text;
  EXPECT_EQ(now->tls.certificate.text, "C");
  EXPECT_EQ(now->tls.key.text, "K");
  EXPECT_EQ(now->authorization, "");
}

TEST_F(ExecPluginTest, IsToldOfTheClusterWhereItAsks) {
  open_with("echo \"$KUBERNETES_EXEC_INFO\" > " + directory.file("info"),
            ", provideClusterInfo: true", ", certificate-authority-data: Q0E=, tls-server-name: k");
  who();
  EXPECT_EQ(read_file(directory.file("info")),
            R"({"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential",)"
            R"("spec":{"interactive":false,"cluster":{"server":"https://kube.test:6443",)"
            R"("tls-server-name":"k","certificate-authority-data":"Q0E="}}})"
            "\n");
  EXPECT_EQ(open_with("", ", provideClusterInfo: true",
                      ", extensions: [{name: client.authentication.k8s.io/exec, extension: {}}]"),
            "fail to create kubernetes config: " + directory.file("config") +
                ": exec.provideClusterInfo: settings for the plugin in the cluster's extensions "
                "are not supported");
}

TEST_F(ExecPluginTest, WhatWentWrongIsSaid) {
  const std::string name = "exec plugin " + directory.file("plugin");
  const std::pair<std::string, std::string> cases[] = {
      {"echo no login >&2; exit 3", name + " ended with status 3: no login\\x0a"},
      {"echo geheim", name + ": its output is not JSON"},
      {"echo '{}'", name + ": its output is no ExecCredential"},
      {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"v7\"}'",
       name + ": its answer is of version \"v7\" instead of client.authentication.k8s.io/v1beta1"},
      {answer(""), name + ": its answer has neither token nor certificate"},
      {answer(R"("clientKeyData":"K")"),
       name + ": its answer has one of certificate and key without the other"},
      {answer(R"("token":"t","expirationTimestamp":"soon")"),
       name + ": its expirationTimestamp \"soon\" is no time"},
      {answer(R"("token":"a b")"),
       directory.file("plugin") + ": no token: it has characters that one cannot have"}};
  for (const auto& [script, error] : cases) {
    open_with(script);
    EXPECT_EQ(who(), error);
  }
  options.kubeconfig_file = directory.file("config");
  write("config", config_of("exec: {apiVersion: client.authentication.k8s.io/v1, "
                            "command: no-such-plugin, installHint: 'get it'}"));
  open();
  EXPECT_EQ(who(), "exec plugin no-such-plugin is not in PATH; get it");
}

}  // namespace
}  // namespace flannel
