#include "network/network_config.h"

#include <gtest/gtest.h>

#include <random>

namespace flannel {
namespace {

std::string error_of(const std::string& json, ConfigChecks checks = ConfigChecks::full) {
  const Result<NetworkConfig> config = parse_network_config(json, checks);
  return config ? "accepted" : config.error().text;
}

// `NETWORK LENGTH MIN MAX`
std::string v4_of(const std::string& json) {
  const Result<NetworkConfig> config = parse_network_config(json);
  if (!config || !config->v4) {
    return config ? "no v4" : config.error().text;
  }
  return fmt::format("{} {} {} {}", config->v4->network.to_text(), config->v4->subnet_length,
                     config->v4->subnet_min.to_text(), config->v4->subnet_max.to_text());
}

std::string v6_of(const std::string& network) {
  const Result<NetworkConfig> config = parse_network_config(
      fmt::format(R"({{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"{}"}})", network));
  if (!config) {
    return config.error().text;
  }
  return fmt::format("{} {} {} {}", config->v6->network.to_text(), config->v6->subnet_length,
                     config->v6->subnet_min.to_text(), config->v6->subnet_max.to_text());
}

TEST(NetworkConfig, FillsInTheDefaults) {
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/16"})"), "10.5.0.0/16 24 10.5.1.0 10.5.255.0");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.5/16"})"), "10.5.0.0/16 24 10.5.1.0 10.5.255.0");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/22"})"), "10.5.0.0/22 24 10.5.1.0 10.5.3.0");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/23"})"), "10.5.0.0/23 25 10.5.0.128 10.5.1.128");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/28"})"), "10.5.0.0/28 30 10.5.0.4 10.5.0.12");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/16","SubnetLen":18})"),
            "10.5.0.0/16 18 10.5.64.0 10.5.192.0");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/16","SubnetMin":"0.0.0.0","SubnetMax":"0.0.0.0"})"),
            "10.5.0.0/16 24 10.5.1.0 10.5.255.0");
}

TEST(NetworkConfig, FillsInTheDefaultsOfIpv6) {
  EXPECT_EQ(v6_of("fc00:5::/48"), "fc00:5::/48 64 fc00:5:0:1:: fc00:5:0:ffff::");
  EXPECT_EQ(v6_of("fc00::/63"), "fc00::/63 65 fc00::8000:0:0:0 fc00:0:0:1:8000::");
  EXPECT_EQ(v6_of("fc00::/124"), "fc00::/124 126 fc00::4 fc00::c");
  EXPECT_EQ(v6_of("fc00::/125"),
            "IPv6Network is too small. Minimum useful network prefix is /124: IPv6Network is "
            "fc00::/125");
  EXPECT_EQ(v6_of("fc00::"), "IPv6Network: invalid CIDR address: fc00:: (such as fc00:5::/48)");
}

TEST(NetworkConfig, RefusesWithTheSentencesUsersKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"Network":"10.5.0.0/29"})",
       "network is too small. Minimum useful network prefix is /28: Network is 10.5.0.0/29"},
      {R"({"Network":"10.5.0.0/16","SubnetLen":31})", "SubnetLen must be less than /31: it is 31"},
      {R"({"Network":"10.5.0.0/16","SubnetLen":17})",
       "network must be able to accommodate at least four subnets: Network is 10.5.0.0/16, "
       "SubnetLen 17"},
      {R"({"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"})",
       "SubnetMin is not in the range of the Network: 10.6.0.0 is outside 10.5.0.0/16"},
      {R"({"Network":"10.5.0.0/16","SubnetMax":"10.6.0.0"})",
       "SubnetMax is not in the range of the Network: 10.6.0.0 is outside 10.5.0.0/16"},
      {R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.1.1"})",
       "SubnetMin is not on a SubnetLen boundary: 10.5.1.1 (10.5.1.0 is)"},
      {R"({"Network":"10.5.0.0/16","SubnetMax":"10.5.9.9"})",
       "SubnetMax is not on a SubnetLen boundary: 10.5.9.9 (10.5.9.0 is)"},
      {R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.3.0"})",
       "SubnetMin 10.5.9.0 is above SubnetMax 10.5.3.0"},
      {R"({})", "please define a correct Network parameter in the flannel config: there is none"},
      {R"({"Network":"0.0.0.0/0"})",
       "please define a correct Network parameter in the flannel config: 0.0.0.0/0"},
      {R"({"Network":"10.5.0.0/16","EnableIPv6":true})",
       "please define a correct IPv6Network parameter in the flannel config: there is none"},
      {R"({"Network":"10.5.0.0"})",
       "Network: invalid CIDR address: 10.5.0.0 (such as 10.5.0.0/16)"},
      {R"({"Network":"fc00::/48"})", "invalid IPv4 CIDR format: Network fc00::/48"},
      {R"({"Network":"10.5.0.0/40"})",
       "Network: invalid CIDR address: 10.5.0.0/40 (such as 10.5.0.0/16)"},
      {"", "network configuration is empty: unexpected end of JSON input"},
      {" \n", "network configuration is empty: unexpected end of JSON input"},
  };
  for (const auto& [json, text] : cases) {
    EXPECT_EQ(error_of(json), text) << json;
  }
  EXPECT_TRUE(error_of(R"({"EnableIPv4":false})").starts_with("none defined stack"));
}

TEST(NetworkConfig, WrongTypesAreNamedWithTheirValue) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"Network":"10.5.0.0/16","SubnetLen":"24"})", "SubnetLen \"24\": not a number"},
      {R"({"Network":"10.5.0.0/16","SubnetLen":-1})", "SubnetLen -1: not a whole, unsigned number"},
      {R"({"Network":"10.5.0.0/16","SubnetLen":24.5})",
       "SubnetLen 2.45E1: not a whole, unsigned number"},
      {R"({"Network":7})", "Network 7: not a string"},
      {R"({"Network":null})", "Network null: invalid CIDR address"},
      {R"({"Network":"10.5.0.0/16","SubnetMin":null})", "SubnetMin null: invalid IP address"},
      {R"({"Network":"10.5.0.0/16","SubnetMin":"x"})", "SubnetMin x: invalid IPv4 address"},
      {R"({"Network":"10.5.0.0/16","EnableIPv6":1})", "EnableIPv6 1: neither true nor false"},
      {R"({"Network":"10.5.0.0/16","Backend":"vxlan"})", "Backend \"vxlan\": not a JSON object"},
      {R"({"Network":"10.5.0.0/16","Backend":{"Type":7}})", "Backend.Type 7: not a string"},
      {R"(["Network"])", "network configuration [\"Network\"]: not a JSON object"},
  };
  for (const auto& [json, text] : cases) {
    EXPECT_EQ(error_of(json), text) << json;
  }
  EXPECT_TRUE(error_of("{").starts_with("network configuration is not JSON: "));
}

TEST(NetworkConfig, SaysWhereItIsNotJson) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\n  \"Network\": \"10.5.0.0/16\",\n}", "line 3, column 1: \"}\""},
      {"// the overlay\n{}", "line 1, column 1: \"// the overlay\""},
      {"{'Network': 7}", "line 1, column 2: \"'Network': 7}\""},
      {R"({"Network":"10.5.0.0/16"} # that is it)", "line 1, column 27: \"# that is it\""},
      {R"({"Network":"10.5.0.0/16")",
       "line 1, column 25, the end, behind: \"twork\":\"10.5.0.0/16\"\""},
      {"{\n  \"Network\": \"10.5.0.0/16\"\n\n",
       "line 2, column 27, the end, behind: \"work\": \"10.5.0.0/16\"\""},
      {"{", "line 1, column 2, the end, behind: \"{\""},
      {"{\"Network\": \x1b[2J}", "line 1, column 13: \"\\x1b[2J}\""},
  };
  for (const auto& [json, text] : cases) {
    EXPECT_TRUE(error_of(json).starts_with("network configuration is not JSON: ")) << json;
    EXPECT_TRUE(error_of(json).ends_with(text)) << error_of(json);
  }
}

TEST(NetworkConfig, AByteOrderMarkIsSkipped) {
  EXPECT_EQ(error_of("\xef\xbb\xbf{\"Network\":\"10.5.0.0/16\"}"), "accepted");
}

TEST(NetworkConfig, WhatIsQuotedIsCut) {
  const std::string much(100'000, 'x');
  for (const char* field : {"Network", "SubnetMin", "SubnetLen", "EnableIPv6", "Backend"}) {
    const std::string json =
        fmt::format(R"({{"Network":"10.5.0.0/16","{}":"{}\u001b"}})", field, much);
    EXPECT_LT(error_of(json).size(), 400U) << field;
    EXPECT_GT(error_of(json).size(), 200U) << field;
  }
  EXPECT_LT(error_of("[\"" + much + "\"]").size(), 400U);
  EXPECT_LT(error_of("{" + much).size(), 400U);
}

TEST(NetworkConfig, NamesMatchWithoutRegardToCaseAndTheLastWins) {
  EXPECT_EQ(v4_of(R"({"network":"10.6.0.0/16","NETWORK":"10.5.0.0/16","subnetlen":20})"),
            "10.5.0.0/16 20 10.5.16.0 10.5.240.0");
  EXPECT_EQ(v4_of(R"({"Network":"10.5.0.0/16","Unknown":[1,2],"SubnetLen":null,"Backend":null})"),
            "10.5.0.0/16 24 10.5.1.0 10.5.255.0");
}

TEST(NetworkConfig, FieldsThatAreNotKnownAreTakenAndNamed) {
  using Sentences = std::vector<std::string>;
  const auto unknown = [](const std::string& fields) {
    return parse_network_config(R"({"Network":"10.5.0.0/16")" + fields + "}")->unknown_fields;
  };
  EXPECT_EQ(unknown(R"(,"enableipv6":false,"SUBNETLEN":24,"backend":{"Typo":1})"), Sentences());
  EXPECT_EQ(unknown(R"(,"subnetlne":24,"_comment":"x","a\u001b":1)"),
            (Sentences{"subnetlne is not known; did you mean SubnetLen?", "_comment is not known",
                       "a\\x1b is not known"}));
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += fmt::format(R"(,"{}{}":1)", std::string(1000, 'x'), i);
  }
  EXPECT_EQ(unknown(many).size(), 6U);
  EXPECT_EQ(error_of(R"({"Netwrok":"10.5.0.0/16"})"),
            "please define a correct Network parameter in the flannel config: there is none "
            "(Netwrok is not known; did you mean Network?)");
}

TEST(NetworkConfig, KnowsTheBackend) {
  const NetworkConfig given = *parse_network_config(
      R"({"Network":"10.5.0.0/16","backend":{"type":"VXLAN","VNI":7},"EnableNFTables":true})");
  EXPECT_EQ(given.backend_type, "vxlan");
  EXPECT_FALSE(given.backend_missing);
  EXPECT_TRUE(given.nftables);
  EXPECT_EQ(given.backend.at("VNI").as_int64(), 7);
  const NetworkConfig missing = *parse_network_config(R"({"Network":"10.5.0.0/16"})");
  EXPECT_EQ(missing.backend_type, "udp");
  EXPECT_TRUE(missing.backend_missing);
  EXPECT_EQ(parse_network_config(R"({"Network":"10.5.0.0/16","Backend":{}})")->backend_type, "");
}

TEST(NetworkConfig, ForKubernetesOnlyTypesAreChecked) {
  EXPECT_EQ(error_of(R"({"Network":"10.5.0.0/30","SubnetLen":99})", ConfigChecks::kube),
            "accepted");
  EXPECT_EQ(error_of(R"({"Network":"10.5.0.0/16","SubnetLen":"24"})", ConfigChecks::kube),
            "SubnetLen \"24\": not a number");
}

TEST(NetworkConfig, SurvivesJunk) {
  std::minstd_rand random(7);
  const std::string good =
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"x"}})";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const Result<NetworkConfig> config = parse_network_config(text);
    EXPECT_TRUE(config || !config.error().text.empty());
  }
}

TEST(NetworkConfig, ExcludedFromMasqueradingIsAListOfTexts) {
  const auto parse = [](const std::string& value) {
    return parse_network_config(
        fmt::format(R"({{"Network":"10.5.0.0/16","IPMasqExclude":{}}})", value));
  };
  EXPECT_EQ(parse(R"(["192.0.2.0/24","2001:db8::/32"])")->masq_exclude,
            (std::vector<std::string>{"192.0.2.0/24", "2001:db8::/32"}));
  EXPECT_TRUE(parse("[]")->masq_exclude.empty());
  EXPECT_TRUE(parse("null")->unknown_fields.empty());
  for (const char* wrong : {R"("192.0.2.0/24")", "[7]", "{}"}) {
    const Result<NetworkConfig> config = parse(wrong);
    ASSERT_FALSE(config) << wrong;
    EXPECT_EQ(
        config.error().text,
        fmt::format("IPMasqExclude {}: not a list of networks, such as [\"192.0.2.0/24\"]", wrong));
  }
}

}  // namespace
}  // namespace flannel
