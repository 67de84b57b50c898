#include "kube/kubeconfig.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

// A kubeconfig with these lines in its cluster and its user.
std::string with(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts:\n- name: other\n  context: {cluster: x, user: y}\n"
         "- name: here\n  context:\n    cluster: c\n    user: u\n"
         "clusters:\n- name: c\n  cluster:\n    server: https://10.0.0.1:6443\n" +
         cluster + "users:\n- name: u\n  user:\n    unknown: [1]\n" + user;
}

std::string error_of(const std::string& text) {
  const Result<Kubeconfig> config = parse_kubeconfig(text, "/etc/k/config");
  return config ? "no error" : config.error().text;
}

TEST(KubeconfigTest, WhatTheCurrentContextNames) {
  const Result<Kubeconfig> config = parse_kubeconfig(
      with("    certificate-authority: ca.crt\n    tls-server-name: kube.test\n",
           "    client-certificate-data: Y2VydA==\n    client-key: /var/lib/k.key\n"),
      "/etc/k/config");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->cluster.server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->cluster.ca.path, "/etc/k/ca.crt");
  EXPECT_TRUE(config->cluster.verify);
  EXPECT_EQ(config->cluster.certificate_name, "kube.test");
  EXPECT_EQ(config->user.certificate.data,
            (Pem{"/etc/k/config: user \"u\": client-certificate-data", "cert"}));
  EXPECT_EQ(config->user.key.path, "/var/lib/k.key");
}

TEST(KubeconfigTest, WhoWeAre) {
  const KubeUser token = parse_kubeconfig(with("", "    token: 12345\n"), "k")->user;
  EXPECT_EQ(token.token, "12345");
  const KubeUser file = parse_kubeconfig(with("", "    tokenFile: ../token\n"), "/etc/k/c")->user;
  EXPECT_EQ(file.token_file, "/etc/token");
  const KubeUser basic =
      parse_kubeconfig(with("", "    username: admin\n    password: p\n"), "k")->user;
  EXPECT_EQ(basic.username, "admin");
  EXPECT_EQ(basic.password, "p");
  EXPECT_FALSE(
      parse_kubeconfig(with("    insecure-skip-tls-verify: true\n", ""), "k")->cluster.verify);
}

TEST(KubeconfigTest, AProgramThatSaysWhoWeAre) {
  const std::string text = with("", R"(    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./login
      args: [--cluster, c]
      env: [{name: A, value: b}]
      installHint: get it
      provideClusterInfo: true
      interactiveMode: IfAvailable
)");
  const Result<Kubeconfig> config = parse_kubeconfig(text, "/etc/k/config");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->user.exec, (ExecCommand{.command = "/etc/k/login",
                                            .arguments = {"--cluster", "c"},
                                            .environment = {{"A", "b"}},
                                            .api_version = "client.authentication.k8s.io/v1",
                                            .install_hint = "get it",
                                            .cluster_info = true}));
}

TEST(KubeconfigTest, WhatIsWrongIsNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"a: [", "/etc/k/config: line 2, column 1: did not find expected node content"},
      {"- a", "/etc/k/config: no kubeconfig"},
      {"contexts: []", "/etc/k/config: current-context: missing"},
      {"current-context: a", "/etc/k/config: contexts: none is called \"a\""},
      {"current-context: a\ncontexts: {b: c}", "/etc/k/config: contexts: not a list"},
      {"current-context: a\ncontexts: [{name: a, context: {cluster: b}}]",
       "/etc/k/config: context \"a\": clusters: none is called \"b\""},
      {with("    insecure-skip-tls-verify: maybe\n", ""),
       "/etc/k/config: cluster \"c\": insecure-skip-tls-verify: neither true nor false"},
      {with("    insecure-skip-tls-verify: true\n    certificate-authority: x\n", ""),
       "/etc/k/config: cluster \"c\": insecure-skip-tls-verify: true, and a certificate-authority "
       "is given as well"},
      {with("", "    client-key-data: '*geheim*'\n"),
       "/etc/k/config: user \"u\": client-key-data: not base64"},
      {with("", "    client-key-data: Y2VydA==\n"),
       "/etc/k/config: user \"u\": client-certificate, client-key: one is given without the other"},
      {with("", "    token: geheim\n    username: a\n"),
       "/etc/k/config: user \"u\": token, username, exec: more than one is given"},
      {with("", "    token: {a: geheim}\n"), "/etc/k/config: user \"u\": token: not a text"},
      {with("", "    auth-provider: {name: gcp}\n"),
       "/etc/k/config: user \"u\": auth-provider: not supported; an exec plugin takes its place"},
      {with("", "    as: admin\n"), "/etc/k/config: user \"u\": as: not supported"},
      {with("", "    exec: {command: a, apiVersion: client.authentication.k8s.io/v1alpha1}\n"),
       "/etc/k/config: user \"u\": exec.apiVersion: \"client.authentication.k8s.io/v1alpha1\" is "
       "neither client.authentication.k8s.io/v1 nor client.authentication.k8s.io/v1beta1"},
      {with("", "    exec: {apiVersion: client.authentication.k8s.io/v1}\n"),
       "/etc/k/config: user \"u\": exec.command: missing"},
      {with("",
            "    exec: {command: a, apiVersion: client.authentication.k8s.io/v1,"
            " interactiveMode: Always}\n"),
       "/etc/k/config: user \"u\": exec.interactiveMode: nobody is there to be asked"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_EQ(error_of(text), error);
  }
}

TEST(KubeconfigTest, ContextsWithoutAUserAreNobody) {
  const Result<Kubeconfig> config = parse_kubeconfig(
      "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n"
      "clusters: [{name: b, cluster: {server: 'http://x'}}]",
      "k");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->user, KubeUser());
}

TEST(ApiUrlTest, SchemesPortsAndPaths) {
  const auto text = [](std::string_view url, bool secure = false) {
    const Result<ApiUrl> read = parse_api_url(url, secure);
    return read ? read->endpoint.to_text() + " " + read->base_path : read.error().text;
  };
  EXPECT_EQ(text("https://kube.test"), "https://kube.test:443 ");
  EXPECT_EQ(text("http://[fd99::1]:8080/"), "http://[fd99::1]:8080 ");
  EXPECT_EQ(text("https://rancher.test/k8s/clusters/c-1/?x"),
            "https://rancher.test:443 /k8s/clusters/c-1");
  EXPECT_EQ(text("10.0.0.1:8080"), "http://10.0.0.1:8080 ");
  EXPECT_EQ(text("kube.test/a", true), "https://kube.test:443 /a");
  EXPECT_EQ(text("https://kube.test/a b"),
            "endpoint \"https://kube.test/a b\": its path has characters that a URL has not");
  EXPECT_EQ(text("unix:///run/k"), "endpoint \"unix:///run/k\": scheme is not http or https");
  EXPECT_EQ(text("https://user:geheim@kube.test"),
            "an endpoint contains a user name; give it by its own option");
  EXPECT_EQ(text(""), "endpoint \"\": no host");
}

}  // namespace
}  // namespace flannel
