// What portmap's configuration may say, and that no text of it ends up as another command.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cni/portmap/portmap_config.h"
#include "cni/portmap/portmap_iptables.h"
#include "cni/portmap/portmap_nftables.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

json::object config_with(const json::object& more) {
  json::object config =
      json::parse(R"({"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]},
        "prevResult": {"cniVersion": "1.0.0",
          "interfaces": [{"name": "eth0", "sandbox": "/pod"}],
          "ips": [{"interface": 0, "address": "10.244.1.5/24"},
                  {"interface": 0, "address": "fd00:1::5/64"}]}})")
          .as_object();
  for (const json::key_value_pair& field : more) {
    config[field.key()] = field.value();
  }
  return config;
}

PortmapConfig parse(const json::object& more) {
  Request request{.attachment = {"c1", "eth0"}, .name = "cbr0"};
  request.version = "1.0.0";
  request.config = config_with(more);
  return parse_portmap(request, "iptables");
}

// What is thrown; empty where nothing is.
std::string refusal_of(const json::object& more) {
  try {
    parse(more);
    return "";
  } catch (const CniError& error) {
    return error.code() == 7 ? error.what() : fmt::format("code {}", error.code());
  }
}

std::string refusal_of(const char* backend, const json::array& conditions) {
  return refusal_of({{"backend", backend}, {"conditionsV4", conditions}});
}

TEST(PortmapConditions, AreWordsOfTheirBackend) {
  EXPECT_EQ(
      refusal_of("iptables", {"!", "-s", "10.0.0.0/8", "-m", "set", "--match-set", "a", "src"}),
      "");
  EXPECT_EQ(refusal_of("iptables", {"-ieth0", "-f", "--probability=0.5", "--mode", "random"}), "");
  EXPECT_EQ(refusal_of("nftables", {"ip", "saddr", "{", "10.0.0.0/8, 1.2.3.4", "}"}), "");
  EXPECT_EQ(refusal_of("nftables", {R"(iifname "a;b#c\d")"}), "");
  EXPECT_EQ(refusal_of("nftables", {"iifname \"a", "b;\""}), "");
  EXPECT_EQ(refusal_of("nftables", {}), "");
  EXPECT_EQ(refusal_of("nftables", {"-s", "10.0.0.0/8"}),
            "nftables backend was requested but configuration contains iptables-specific options "
            "[conditionsV4]");
  EXPECT_EQ(refusal_of("iptables", {"ip", "saddr", "10.0.0.0/8"}),
            "iptables backend was requested but configuration contains nftables-specific options "
            "[conditionsV4]");
  EXPECT_EQ(refusal_of({{"backend", "ipvs"}}), "unrecognized backend \"ipvs\"");
}

TEST(PortmapConditions, OfNftEndNoCommand) {
  EXPECT_EQ(refusal_of("nftables", {"accept", ";", "flush ruleset"}),
            "conditionsV4: ; outside of quotes");
  EXPECT_EQ(refusal_of("nftables", {"accept #"}), "conditionsV4: # outside of quotes");
  EXPECT_EQ(refusal_of("nftables", {"accept \\"}), "conditionsV4: \\ outside of quotes");
  EXPECT_EQ(refusal_of("nftables", {"iifname \"a"}), "conditionsV4: a quote that does not end");
  EXPECT_EQ(refusal_of("nftables", {"iifname \"a\" ; add table \"b\""}),
            "conditionsV4: ; outside of quotes");
  EXPECT_EQ(refusal_of({{"backend", "nftables"}, {"conditionsV6", {";"}}}),
            "conditionsV6: ; outside of quotes");
}

TEST(PortmapConditions, OfIptablesAreMatchesAlone) {
  for (const char* word : {"-j", "-jACCEPT", "-g", "-t", "-A", "-I", "-M", "-nM/tmp/x", "-fM/tmp/x",
                           "-4", "--modprobe", "--modprobe=/tmp/x", "--mod=/tmp/x", "--m"}) {
    EXPECT_EQ(refusal_of("iptables", {"-s", "10.0.0.0/8", word, "/tmp/x"}),
              fmt::format("conditionsV4: {} is no condition", word));
  }
}

TEST(PortmapConditions, HaveNoControlCharacters) {
  for (const std::string& word :
       {std::string("a\nCOMMIT"), std::string("a\0", 2), std::string("\x7f")}) {
    for (const char* backend : {"iptables", "nftables"}) {
      EXPECT_NE(refusal_of(backend, {"-s", json::string(word)}).find("a control character"),
                std::string::npos);
    }
    EXPECT_NE(
        refusal_of({{"externalSetMarkChain", json::string(word)}}).find("a control character"),
        std::string::npos);
  }
}

TEST(PortmapConfig, RefusesWhatCannotBe) {
  const auto mapping = [](const json::value& port, const char* protocol) -> json::object {
    return {{"runtimeConfig",
             {{"portMappings",
               {{{"hostPort", port}, {"containerPort", 80}, {"protocol", protocol}}}}}}};
  };
  EXPECT_EQ(refusal_of(mapping(65'535, "SCTP")), "");
  EXPECT_EQ(refusal_of(mapping(0, "tcp")), "Invalid host port number: 0");
  EXPECT_EQ(refusal_of(mapping(65'536, "tcp")), "Invalid host port number: 65536");
  EXPECT_EQ(refusal_of(mapping(1, "tcp\" ; x")), "protocol \"tcp\" ; x\": not tcp, udp or sctp");
  EXPECT_EQ(refusal_of({{"markMasqBit", 32}}), "MasqMarkBit must be between 0 and 31: 32");
  EXPECT_EQ(refusal_of({{"markMasqBit", 1}, {"externalSetMarkChain", "X"}}),
            "Cannot specify externalSetMarkChain and markMasqBit");
}

TEST(PortmapRules, QuoteTheWordsOfConditions) {
  const PortmapConfig config =
      parse({{"conditionsV4", {"-m", "comment", "--comment", "a \"b\" \\'c"}},
             {"externalSetMarkChain", "MARK IT"}});
  const NatBatch batch = plan_iptables_ports(config, Family::v4, nullptr);
  const std::string lines = fmt::format("{}", fmt::join(batch.lines(), "\n"));
  EXPECT_NE(lines.find(R"( -m comment --comment "a \"b\" \\'c" -j CNI-DN-)"), std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"( -j "MARK IT")"), std::string::npos) << lines;
}

TEST(PortmapRules, OfNftHaveConditionsBeforeTheJump) {
  const PortmapConfig config = parse(
      {{"backend", "nftables"}, {"conditionsV6", {"ip6 saddr", "{ fd00::/8 }"}}, {"snat", false}});
  EXPECT_EQ(nft_ports(config, Family::v6),
            "add table ip6 cni_hostport { comment \"CNI portmap plugin\" ; }\n"
            "add chain ip6 cni_hostport hostports\n"
            "add chain ip6 cni_hostport hostip_hostports\n"
            "add chain ip6 cni_hostport hostports_all\n"
            "flush chain ip6 cni_hostport hostports_all\n"
            "add rule ip6 cni_hostport hostports_all jump hostip_hostports\n"
            "add rule ip6 cni_hostport hostports_all jump hostports\n"
            "add chain ip6 cni_hostport prerouting { type nat hook prerouting priority -100 ; }\n"
            "flush chain ip6 cni_hostport prerouting\n"
            "add rule ip6 cni_hostport prerouting ip6 saddr { fd00::/8 } fib daddr type local jump "
            "hostports_all\n"
            "add chain ip6 cni_hostport output { type nat hook output priority -100 ; }\n"
            "flush chain ip6 cni_hostport output\n"
            "add rule ip6 cni_hostport output ip6 saddr { fd00::/8 } fib daddr type local jump "
            "hostports_all\n"
            "add rule ip6 cni_hostport hostports tcp dport 8080 dnat to [fd00:1::5]:80 comment "
            "\"c1\"\n");
}

}  // namespace
}  // namespace flannel::cni
