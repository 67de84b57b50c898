#include "daemon/options.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "daemon/open_store.h"

namespace flannel {
namespace {

using Environment = std::map<std::string, std::string>;

ParsedOptions parse(std::vector<std::string> words, Environment environment = {}) {
  words.insert(words.begin(), "flanneld");
  return parse_options(words, [&](const std::string& name) { return environment[name]; });
}

TEST(Options, TakesEveryFormOfGoFlags) {
  const ParsedOptions parsed =
      parse({"-etcd-prefix", "/a", "--public-ip=1.2.3.4", "--healthz-port", "0x1f91", "-v=1_0",
             "--iface=eth0", "--iface", "eth1,eth2", "--adopt-stale=T"});
  ASSERT_EQ(parsed.outcome, ParsedOptions::Outcome::run) << parsed.text;
  EXPECT_EQ(parsed.options.etcd.prefix, "/a");
  EXPECT_EQ(parsed.options.public_ip, "1.2.3.4");
  EXPECT_EQ(parsed.options.healthz_port, 8081);
  EXPECT_EQ(parsed.options.v, 10);
  EXPECT_EQ(parsed.options.iface, (std::vector<std::string>{"eth0", "eth1,eth2"}));
  EXPECT_TRUE(parsed.options.adopt_stale);
}

TEST(Options, TheLastOfARepeatedFlagWins) {
  EXPECT_EQ(parse({"--etcd-prefix=/a", "--etcd-prefix=/b"}).options.etcd.prefix, "/b");
}

TEST(Options, ErrorsAreGosSentencesOnOneLine) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"-nope"}, "flag provided but not defined: -nope"},
      {{"--etcd-endpoint=x"},
       "flag provided but not defined: -etcd-endpoint; did you mean --etcd-endpoints?"},
      {{"--healthz-port=x"},
       "invalid value \"x\" for flag -healthz-port: parse error (a whole number)"},
      {{"--healthz-port=a\nb"},
       "invalid value \"a\\x0ab\" for flag -healthz-port: parse error (a whole number)"},
      {{"-v=9223372036854775808"},
       "invalid value \"9223372036854775808\" for flag -v: value out of range (a whole number up "
       "to "
       "2147483647)"},
      {{"-v", "2147483648"},
       "invalid value \"2147483648\" for flag -v: value out of range (a whole number up to "
       "2147483647)"},
      {{"--ip-masq=zz"}, "invalid boolean value \"zz\" for -ip-masq: parse error (true or false)"},
      {{"--route-nexthops=maybe"},
       "invalid value \"maybe\" for flag -route-nexthops: parse error (auto, on or off)"},
      {{"--local-store="},
       "invalid value \"\" for flag -local-store: no file is named; leave the flag out for etcd"},
      {{"--etcd-prefix"}, "flag needs an argument: -etcd-prefix"},
      {{"---x"}, "bad flag syntax: ---x"},
      {{"-=x"}, "bad flag syntax: -=…"},
  };
  for (const auto& [words, text] : cases) {
    const ParsedOptions parsed = parse(words);
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::error);
    EXPECT_EQ(parsed.text, text + "; see flanneld --help\n");
  }
}

TEST(Options, NoMessageHasAPassword) {
  const std::vector<std::string> lines[] = {
      {"---etcd-password=geheim"},
      {"--etcd-passwort=geheim"},
      {"etcd-password=geheim"},
      {"--adopt-stale", "true", "--etcd-password=geheim"},
      {"--adopt-stale", "true", "--etcd-password", "geheim"},
  };
  for (const std::vector<std::string>& words : lines) {
    const ParsedOptions parsed = parse(words);
    EXPECT_EQ((parsed.text + fmt::format("{}", fmt::join(parsed.warnings, " "))).find("geheim"),
              std::string::npos)
        << words.back();
  }
}

TEST(Options, HelpAndVersion) {
  for (const char* word : {"--help", "-help", "-h", "help"}) {
    const ParsedOptions parsed = parse({word});
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::help);
    EXPECT_TRUE(parsed.text.starts_with("Usage: flanneld [OPTION]...\n"));
  }
  EXPECT_EQ(parse({"--version"}).outcome, ParsedOptions::Outcome::version);
  EXPECT_EQ(parse({}, {{"FLANNELD_VERSION", "true"}}).outcome, ParsedOptions::Outcome::run);
}

// What the help says of a flag.
std::string help_of(const std::string& flag) {
  const std::string usage = parse({"--help"}).text;
  const std::size_t at = usage.find("\n    \t", usage.find("\n  -" + flag + "\n") == usage.npos
                                                    ? usage.find("\n  -" + flag + " ")
                                                    : usage.find("\n  -" + flag + "\n"));
  return usage.substr(at + 6, usage.find('\n', at + 6) - at - 6);
}

TEST(Options, TheHelpMarksWhatIsNotThere) {
  EXPECT_TRUE(help_of("vmodule").starts_with("without effect: "));
  EXPECT_TRUE(help_of("ip-masq").starts_with("masquerade"));
  EXPECT_TRUE(help_of("v").starts_with("log verbosity"));
}

TEST(Options, UsageNamesEveryFlagOnce) {
  const std::string usage = parse({"--help"}).text;
  for (const char* name : {"etcd-endpoints",
                           "etcd-prefix",
                           "etcd-keyfile",
                           "etcd-certfile",
                           "etcd-cafile",
                           "etcd-username",
                           "etcd-password",
                           "kube-subnet-mgr",
                           "kube-api-url",
                           "kubeconfig-file",
                           "kube-annotation-prefix",
                           "net-config-path",
                           "set-node-network-unavailable",
                           "iface",
                           "iface-regex",
                           "iface-can-reach",
                           "public-ip",
                           "public-ipv6",
                           "subnet-file",
                           "subnet-lease-renew-margin",
                           "ip-masq",
                           "ip-masq-fully-random-disable",
                           "ip-masq-exclude",
                           "iptables-forward-rules",
                           "iptables-resync",
                           "ip-blackhole-route",
                           "healthz-ip",
                           "healthz-port",
                           "metrics-addr",
                           "version",
                           "v",
                           "vmodule",
                           "log_backtrace_at",
                           "local-store",
                           "state-dir",
                           "route-nexthops",
                           "status-socket"}) {
    const std::string line = fmt::format("\n  -{}", name);
    std::size_t count = 0;
    for (std::size_t at = usage.find(line); at != std::string::npos;
         at = usage.find(line, at + 1)) {
      const char behind = usage[at + line.size()];
      count += behind == ' ' || behind == '\n' ? 1 : 0;
    }
    EXPECT_EQ(count, 1U) << name;
  }
}

TEST(Options, NexthopsAreForManyPeersUnlessSaidOtherwise) {
  using Mode = NexthopChoice::Mode;
  const auto mode_of = [](const std::string& word) {
    return parse({word}).options.route_nexthops.mode;
  };
  EXPECT_EQ(parse({}).options.route_nexthops.mode, Mode::automatic);
  EXPECT_EQ(mode_of("--route-nexthops=auto"), Mode::automatic);
  EXPECT_EQ(mode_of("--route-nexthops=on"), Mode::on);
  EXPECT_EQ(mode_of("--route-nexthops=false"), Mode::off);
  const ParsedOptions wrong = parse({"--route-nexthops=sometimes"});
  EXPECT_EQ(wrong.outcome, ParsedOptions::Outcome::error);
  EXPECT_NE(wrong.text.find("auto, on or off"), std::string::npos) << wrong.text;
}

TEST(Options, AllBehindTheFirstOtherWordIsIgnoredAndNamed) {
  const ParsedOptions parsed = parse({"--etcd-prefix=/a", "true", "--etcd-prefix=/b"});
  EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::run);
  EXPECT_EQ(parsed.options.etcd.prefix, "/a");
  EXPECT_EQ(parsed.warnings,
            std::vector<std::string>{"\"true\" is ignored, as is all behind the first word that is "
                                     "no flag (--etcd-prefix=…)"});
}

TEST(Options, VariablesCountWhereTheFlagIsNotGiven) {
  const Environment environment = {{"FLANNELD_ETCD_PREFIX", "/env"},
                                   {"FLANNELD_HEALTHZ_PORT", "bad"},
                                   {"FLANNELD_IFACE", "eth7"},
                                   {"FLANNELD_V", "1"},
                                   {"FLANNELD_PUBLIC_IP", ""}};
  const ParsedOptions parsed = parse({"--v=2"}, environment);
  ASSERT_EQ(parsed.outcome, ParsedOptions::Outcome::run);
  EXPECT_EQ(parsed.options.etcd.prefix, "/env");
  EXPECT_EQ(parsed.options.healthz_port, 0);
  EXPECT_EQ(parsed.options.iface, std::vector<std::string>{"eth7"});
  EXPECT_EQ(parsed.options.v, 2);
  ASSERT_EQ(parsed.warnings.size(), 1U);
  EXPECT_NE(parsed.warnings[0].find("invalid value \"bad\" for FLANNELD_HEALTHZ_PORT"),
            std::string::npos);
}

TEST(Options, OfKubernetes) {
  const Environment pod = {{"POD_NAME", "flannel-x7z"},
                           {"POD_NAMESPACE", "kube-flannel"},
                           {"EVENT_QUEUE_DEPTH", "5000"},
                           {"CONT_WHEN_CACHE_NOT_READY", "false"},
                           {"KUBERNETES_SERVICE_HOST", "10.96.0.1"},
                           {"KUBERNETES_SERVICE_PORT", "443"}};
  const ParsedOptions parsed =
      parse({"--kube-subnet-mgr", "--kube-annotation-prefix=flannel.x.io/c1",
             "--net-config-path=/n", "--set-node-network-unavailable=false", "--etcd-endpoints="},
            pod);
  ASSERT_EQ(parsed.outcome, ParsedOptions::Outcome::run) << parsed.text;
  EXPECT_TRUE(parsed.warnings.empty());
  EXPECT_TRUE(parsed.options.kube_subnet_mgr);
  const KubeOptions& kube = parsed.options.kube;
  EXPECT_EQ(kube.annotation_prefix, "flannel.x.io/c1-");
  EXPECT_EQ(kube.net_config_path, "/n");
  EXPECT_FALSE(kube.set_node_network_unavailable);
  EXPECT_EQ(kube.node_name, "");
  EXPECT_EQ(kube.pod_namespace + "/" + kube.pod_name, "kube-flannel/flannel-x7z");
  EXPECT_EQ(kube.service_host + " " + kube.service_port, "10.96.0.1 443");
  EXPECT_TRUE(parse({"--kube-subnet-mgr"}, {{"NODE_NAME", "n1"}}).options.kube_subnet_mgr);
}

TEST(Options, OfKubernetesThatCannotBeMeant) {
  const std::tuple<std::string, Environment, std::string> cases[] = {
      {"--ip-masq", {}, "env variables POD_NAME and POD_NAMESPACE must be set (or NODE_NAME)\n"},
      {"--ip-masq",
       {{"NODE_NAME", "n1/../x"}},
       "env NODE_NAME=n1/../x: nothing in Kubernetes can have this name\n"},
      {"--ip-masq",
       {{"NODE_NAME", "n1"}, {"EVENT_QUEUE_DEPTH", "zz"}},
       "env EVENT_QUEUE_DEPTH=zz format error: parse error\n"},
      {"--local-store=/x",
       {{"NODE_NAME", "n1"}},
       "local-store and kube-subnet-mgr: only one of them has the leases\n"}};
  for (const auto& [word, environment, error] : cases) {
    const ParsedOptions parsed = parse({"--kube-subnet-mgr", word}, environment);
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::error);
    EXPECT_EQ(parsed.text, error);
    EXPECT_EQ(parse({word}, environment).outcome, ParsedOptions::Outcome::run);
  }
  EXPECT_TRUE(parse({"--kube-annotation-prefix=nodots"})
                  .text.contains("prefix must be in a format: fqdn/[0-9a-z-_]*: \"nodots\""));
}

TEST(Options, WhatIsDoneWithPodsTraffic) {
  const Options usual = parse({}).options;
  EXPECT_FALSE(usual.ip_masq);
  EXPECT_TRUE(usual.iptables_forward_rules);
  EXPECT_EQ(usual.iptables_resync, 5);
  const Options given =
      parse({"--ip-masq", "--ip-masq-fully-random-disable", "--ip-blackhole-route",
             "--iptables-forward-rules=false", "--iptables-resync=30",
             "--ip-masq-exclude=192.0.2.0/24", "--ip-masq-exclude", "2001:db8::/32"})
          .options;
  EXPECT_TRUE(given.ip_masq);
  EXPECT_TRUE(given.ip_masq_fully_random_disable);
  EXPECT_TRUE(given.ip_blackhole_route);
  EXPECT_FALSE(given.iptables_forward_rules);
  EXPECT_EQ(given.iptables_resync, 30);
  EXPECT_EQ(given.ip_masq_exclude, (std::vector<std::string>{"192.0.2.0/24", "2001:db8::/32"}));
}

TEST(Options, ValuesOutOfRangeAreRefusedByName) {
  EXPECT_EQ(parse({"--iptables-resync=0"}).text, "iptables-resync 0: at least 1 second\n");
  EXPECT_EQ(parse({"--iptables-resync=86401"}).outcome, ParsedOptions::Outcome::error);
  for (const char* excluded : {"nope", "0.0.0.0/0", "192.0.2.1/24", "224.0.0.0/8"}) {
    const ParsedOptions parsed = parse({fmt::format("--ip-masq-exclude={}", excluded)});
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::error);
    EXPECT_TRUE(parsed.text.starts_with(fmt::format("ip-masq-exclude: \"{}\" is ", excluded)))
        << parsed.text;
  }
  for (const char* margin : {"0", "1440", "-5"}) {
    const ParsedOptions parsed = parse({fmt::format("--subnet-lease-renew-margin={}", margin)});
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::error);
    EXPECT_NE(parsed.text.find(margin), std::string::npos);
  }
  EXPECT_EQ(parse({"--public-ip=nope"}).text,
            "invalid public IP address: nope (--public-ip takes an IPv4 address)\n");
  EXPECT_EQ(parse({"--public-ip=fd99::2"}).text,
            "invalid public IP address: fd99::2 (--public-ip takes an IPv4 address)\n");
  EXPECT_EQ(parse({"--public-ipv6=1.2.3.4"}).text,
            "invalid public IPv6 address: 1.2.3.4 (--public-ipv6 takes an IPv6 address)\n");
  EXPECT_EQ(parse({"--healthz-port=99999"}).text,
            "healthz-port 99999: no port (1 to 65535, or 0 for none)\n");
  EXPECT_EQ(parse({"--metrics-addr=9100"}).text,
            "metrics-addr 9100: no ADDRESS:PORT with a port of 1 to 65535\n");
  EXPECT_EQ(parse({}, {{"FLANNELD_METRICS_ADDR", "::1:9100"}}).text,
            "metrics-addr ::1:9100: an IPv6 address, and nothing else, stands in brackets\n");
  EXPECT_EQ(parse({"--public-ip=a\nb"}).text,
            "invalid public IP address: a\\x0ab (--public-ip takes an IPv4 address)\n");
  EXPECT_EQ(parse({}, {{"FLANNELD_HEALTHZ_PORT", "70000"}}).outcome, ParsedOptions::Outcome::error);
}

TEST(Options, WhatBelongsTogetherIsRefusedAlone) {
  const std::pair<const char*, const char*> pairs[] = {{"etcd-username", "etcd-password"},
                                                       {"etcd-certfile", "etcd-keyfile"}};
  for (const auto& [one, other] : pairs) {
    for (const auto& [given, missing] : {std::pair(one, other), std::pair(other, one)}) {
      EXPECT_EQ(parse({fmt::format("--{}=x", given)}).text,
                fmt::format("{} without {}: they belong together, by flag or variable\n", given,
                            missing));
      EXPECT_EQ(parse({fmt::format("--{}=x", given), "--local-store=/x"}).outcome,
                ParsedOptions::Outcome::run);
    }
    EXPECT_EQ(parse({fmt::format("--{}=x", one), fmt::format("--{}=y", other)}).outcome,
              ParsedOptions::Outcome::run);
    EXPECT_EQ(parse({fmt::format("--{}=", one)}).outcome, ParsedOptions::Outcome::run);
  }
  EXPECT_EQ(parse({"--etcd-username=x"}, {{"FLANNELD_ETCD_PASSWORD", "y"}}).outcome,
            ParsedOptions::Outcome::run);
  EXPECT_EQ(parse({"--etcd-cafile=x"}).outcome, ParsedOptions::Outcome::run);
}

// As in Go, the other rules count; without any, nothing could ever be found.
TEST(Options, RulesForTheInterfaceThatCannotBeReadAreRefusedWhereThereAreNoOthers) {
  EXPECT_EQ(parse({"--iface-regex=("}).text, "iface-regex (: missing ): (\n");
  EXPECT_EQ(parse({"--iface-can-reach=eth0"}).text, "iface-can-reach eth0: no IP address\n");
  EXPECT_EQ(parse({"--iface-regex=(", "--iface-can-reach=eth0"}).text,
            "iface-regex (: missing ): (\niface-can-reach eth0: no IP address\n");
  for (const char* other : {"--iface=eth0", "--iface-regex=eth", "--iface-can-reach=1.2.3.4"}) {
    const ParsedOptions parsed = parse({"--iface-regex=(", other});
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::run) << other;
    EXPECT_EQ(parsed.warnings, std::vector<std::string>{"iface-regex (: missing ): ("});
  }
}

TEST(Options, AnEmptyVariableIsAMissingOne) {
  EXPECT_EQ(parse({}, {{"FLANNELD_LOCAL_STORE", ""}}).outcome, ParsedOptions::Outcome::run);
}

TEST(Options, NegativeNumbersMeanWhatTheyDoInGo) {
  EXPECT_EQ(parse({"--healthz-port=-1"}).outcome, ParsedOptions::Outcome::run);
  EXPECT_EQ(parse({"-v=-1"}).options.v, -1);
}

TEST(Options, TheStatusSocketLiesBesideTheSubnetFile) {
  EXPECT_EQ(parse({}).options.status_socket_path(), "/run/flannel/flanneld.sock");
  EXPECT_EQ(parse({"--subnet-file=/tmp/n1/subnet.env"}).options.status_socket_path(),
            "/tmp/n1/flanneld.sock");
  EXPECT_EQ(parse({"--status-socket=/s"}).options.status_socket_path(), "/s");
}

TEST(Options, EndpointsNeverShowAPassword) {
  for (const char* list : {"http://u:pa/geheim@h:1", "http://u:se,geheim@h", "u:pa?#geheim@h"}) {
    const ParsedOptions parsed = parse({fmt::format("--etcd-endpoints={}", list)});
    EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::error);
    EXPECT_EQ((parsed.text + describe(parsed.options)).find("geheim"), std::string::npos) << list;
    EXPECT_EQ(parse({fmt::format("--etcd-endpoints={}", list), "--local-store=/x"}).outcome,
              ParsedOptions::Outcome::run);
  }
}

TEST(Options, FlagsWithoutEffectAreTakenWithAWarning) {
  const ParsedOptions parsed = parse({"--vmodule=main=2"}, {{"FLANNELD_LOG_BACKTRACE_AT", "x"}});
  EXPECT_EQ(parsed.outcome, ParsedOptions::Outcome::run) << parsed.text;
  EXPECT_EQ(parsed.warnings, (std::vector<std::string>{"flag -vmodule has no effect",
                                                       "flag -log_backtrace_at has no effect"}));
}

TEST(Options, ThePasswordIsNotDescribed) {
  EXPECT_EQ(describe(parse({"--etcd-password=geheim"}).options).find("geheim"), std::string::npos);
}

TEST(Options, EveryFlagIsDescribedWithItsValue) {
  const std::string text = describe(
      parse({"--adopt-stale", "-v=1", "--iface=eth0", "--iface=eth1", "--route-nexthops=off"})
          .options);
  for (const char* part :
       {"{etcd-endpoints:http://127.0.0.1:4001,http://127.0.0.1:2379 ",
        " etcd-password: ", " adopt-stale:true ", " v:1 ", " iface:[eth0 eth1] ",
        " iface-regex:[] ", " route-nexthops:off ", " status-socket:/run/flannel/flanneld.sock "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

TEST(Options, NorAreCredentialsInAnEndpoint) {
  const std::string text =
      describe(parse({"--etcd-endpoints=http://a:1,https://me:geheim@b:2"}).options);
  EXPECT_EQ(text.find("geheim"), std::string::npos);
  EXPECT_NE(text.find("http://(hidden)@b:2"), std::string::npos) << text;
}

}  // namespace
}  // namespace flannel
