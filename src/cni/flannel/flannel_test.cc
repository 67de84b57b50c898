// subnet.env, the delegate's configuration, and the records of containers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <barrier>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <thread>
#include <vector>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "cni/bridge/bridge_config.h"
#include "cni/flannel/delegate_record.h"
#include "cni/flannel/flannel_delegate.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

constexpr const char* kEnv =
    "FLANNEL_NETWORK=10.5.0.0/16,10.6.0.0/16,10.5.0.0/16\r\n"
    "FLANNEL_SUBNET=10.5.1.1/24\r\n"
    "FLANNEL_IPV6_NETWORK=fc00:5::/48\n"
    "FLANNEL_IPV6_SUBNET=fc00:5:0:1::1/64\n"
    "FLANNEL_MTU=1450\n"
    "FLANNEL_IPMASQ=true\n"
    "\n"
    "WHATEVER\n";

TEST(FlannelEnv, ReadsListsBothFamiliesAndForeignLines) {
  const FlannelEnv env = *parse_flannel_env(kEnv, "env");
  EXPECT_EQ(env.networks,
            (std::vector<Prefix>{*Prefix::parse("10.5.0.0/16"), *Prefix::parse("10.6.0.0/16"),
                                 *Prefix::parse("fc00:5::/48")}));
  EXPECT_EQ(env.subnet->to_text(), "10.5.1.0/24");
  EXPECT_EQ(env.ipv6_subnet->to_text(), "fc00:5:0:1::/64");
  EXPECT_EQ(env.mtu, 1450U);
  EXPECT_TRUE(env.ip_masq);
}

TEST(FlannelEnv, NamesWhatIsWrong) {
  const auto error = [](const char* text) {
    const Result<FlannelEnv> env = parse_flannel_env(text, "env");
    return env ? "none" : env.error().text;
  };
  EXPECT_EQ(error(""),
            "env is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, "
            "FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ");
  EXPECT_EQ(error("FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_IPV6_SUBNET=fc00::1/64\nFLANNEL_MTU=0\n"),
            "env is missing FLANNEL_IPMASQ");
  EXPECT_NE(error("FLANNEL_NETWORK\n").find("FLANNEL_NETWORK"), std::string::npos);
  EXPECT_NE(error("FLANNEL_SUBNET=x\n").find("FLANNEL_SUBNET"), std::string::npos);
  EXPECT_NE(error("FLANNEL_MTU=-1\n").find("FLANNEL_MTU"), std::string::npos);
  EXPECT_NE(error("FLANNEL_MTU=99999999999\n").find("FLANNEL_MTU"), std::string::npos);
}

Request request_of(const std::string& config) {
  Request request;
  request.name = "cbr0";
  request.version = "1.0.0";
  request.attachment = {"id", "eth0"};
  request.config = parse_json_object(config, "configuration");
  return request;
}

TEST(FlannelDelegate, IsCompletedAsByTheReference) {
  const FlannelEnv env = *parse_flannel_env(kEnv, "env");
  EXPECT_EQ(
      json::serialize(
          make_delegate(request_of(R"({"cniVersion":"1.0.0","delegate":{"hairpinMode":true},
                         "ipam":{"routes":[{"dst":"10.9.0.0/16"}]},
                         "runtimeConfig":{"mac":"m"}})"),
                        env)),
      R"({"cniVersion":"1.0.0","hairpinMode":true,"ipMasq":false,"ipam":{"ranges":[[{"subnet":)"
      R"("10.5.1.0/24"}],[{"subnet":"fc00:5:0:1::/64"}]],"routes":[{"dst":"10.9.0.0/16"},{"dst":)"
      R"("10.5.0.0/16"},{"dst":"10.6.0.0/16"},{"dst":"fc00:5::/48"}],"type":"host-local"},)"
      R"("isGateway":true,"mtu":1450,"name":"cbr0","runtimeConfig":{"mac":"m"},"type":"bridge"})");
  const json::object other = make_delegate(
      request_of(R"({"delegate":{"type":"macvlan","mtu":9,"ipMasq":true},"ipam":{"type":"x"}})"),
      env);
  EXPECT_FALSE(other.contains("isGateway"));
  EXPECT_FALSE(other.contains("cniVersion"));
  EXPECT_EQ(other.at("mtu"), 9);
  EXPECT_EQ(other.at("ipMasq"), true);
  EXPECT_EQ(other.at("ipam").at("type"), "x");
}

TEST(FlannelDelegate, NamesFieldsThatNobodyReads) {
  using Sentences = std::vector<std::string>;
  const auto ignored = [](const std::string& config) { return ignored_fields(request_of(config)); };
  EXPECT_EQ(ignored(R"({"cniVersion":"1.0.0","name":"x","subnetfile":"/x","delegate":{"MTU":1}})"),
            Sentences());
  EXPECT_EQ(ignored(R"({"subnetFil":"/x","delegate":{"hairpin":true,"isDefaultGatway":true}})"),
            (Sentences{"subnetFil is not known; did you mean subnetFile?",
                       "delegate.hairpin is not known; did you mean delegate.hairpinMode?",
                       "delegate.isDefaultGatway is not known; did you mean "
                       "delegate.isDefaultGateway?"}));
  EXPECT_EQ(ignored(R"({"delegate":{"type":"macvlan","master":"eth0"}})"), Sentences());
  for (const std::string_view field : kBridgeFields) {
    json::object config;
    config.emplace(field, json::object());
    Request request;
    request.config = config;
    EXPECT_THROW(parse_bridge(request), CniError) << field << " is not read";
  }
}

TEST(FlannelDelegate, RefusesWhatItSetsItself) {
  const FlannelEnv env = *parse_flannel_env(kEnv, "env");
  for (const char* bad : {R"({"delegate":{"name":"x"}})", R"({"delegate":{"ipam":{}}})",
                          R"({"delegate":{"type":5}})", R"({"delegate":5})", R"({"ipam":5})",
                          R"({"ipam":{"routes":[{}]}})", R"({"runtimeConfig":[]})"}) {
    EXPECT_THROW(make_delegate(request_of(bad), env), CniError) << bad;
  }
}

class Records : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  const TestDirectory directory_;
  const std::string folder_ = directory_.path();
  json::object delegate_{{"type", "bridge"}, {"name", "cbr0"}};
};

TEST_F(Records, KeepOneForEachInterface) {
  EXPECT_FALSE(save_record(folder_, {"id", "eth0"}, delegate_));
  EXPECT_TRUE(save_record(folder_, {"id", "eth0"}, delegate_));
  EXPECT_FALSE(save_record(folder_, {"id", "eth1"}, {{"type", "ptp"}}));
  EXPECT_EQ(list_records(folder_).size(), 2U);
  EXPECT_EQ(find_record(folder_, {"id", "eth0"})->path, folder_ + "/id");
  EXPECT_EQ(find_record(folder_, {"id", "eth0"})->delegate, delegate_);
  EXPECT_EQ(find_record(folder_, {"id", "eth1"})->delegate->at("type"), "ptp");
  EXPECT_FALSE(find_record(folder_, {"id", "eth2"}));
  remove_record(*find_record(folder_, {"id", "eth0"}));
  EXPECT_FALSE(find_record(folder_, {"id", "eth0"}));
  EXPECT_EQ(list_records(folder_).at(0).attachment, (Attachment{"id", "eth1"}));
}

// The folder is missing, and every one of them finds it so.
TEST_F(Records, AreKeptOfTheFirstContainersOfANodeAtTheSameTime) {
  constexpr int kContainers = 8;
  for (int round = 0; round < 50; ++round) {
    const std::string folder = fmt::format("{}/{}", folder_, round);
    std::barrier start(kContainers);
    std::vector<std::jthread> containers;
    for (int i = 0; i < kContainers; ++i) {
      containers.emplace_back([&, i] {
        start.arrive_and_wait();
        EXPECT_NO_THROW(save_record(folder, {std::to_string(i), "eth0"}, delegate_));
      });
    }
    containers.clear();  // joins them
    EXPECT_EQ(list_records(folder).size(), std::size_t{kContainers});
  }
}

TEST_F(Records, DoNotMixContainersWhoseNamesHaveDots) {
  save_record(folder_, {"id.eth1", "eth0"}, delegate_);
  save_record(folder_, {"id", "eth0"}, delegate_);
  EXPECT_FALSE(find_record(folder_, {"id", "eth1"}));
  save_record(folder_, {"id", "eth1"}, delegate_);
  EXPECT_EQ(list_records(folder_).size(), 3U);
}

TEST_F(Records, AreTheReferencesAsWell) {
  put("go", R"({"cniVersion":"1.0.0","ipam":{"type":"host-local"},"name":"cbr0","type":"bridge"})");
  const std::optional<DelegateRecord> record = find_record(folder_, {"go", "eth0"});
  ASSERT_TRUE(record);
  EXPECT_EQ(record->delegate->at("type"), "bridge");
  EXPECT_EQ(record->attachment.ifname, "");
}

TEST_F(Records, WhatIsTooLongToBeReadAgainIsRefused) {
  EXPECT_FALSE(save_record(folder_, {"id", "eth0"}, delegate_));
  const std::size_t size = read_file(folder_ + "/id")->size() + std::string(R"("x":"",)").size();
  json::object longest = delegate_;
  longest["x"] = std::string(kMostRead - size, 'x');
  EXPECT_TRUE(save_record(folder_, {"id", "eth0"}, longest));
  EXPECT_EQ(find_record(folder_, {"id", "eth0"})->delegate, longest);
  json::object longer = delegate_;
  longer["x"] = std::string(kMostRead - size + 1, 'x');
  for (const char* id : {"id", "new"}) {
    EXPECT_THROW(save_record(folder_, {id, "eth0"}, longer), CniError);
  }
  EXPECT_EQ(find_record(folder_, {"id", "eth0"})->delegate, longest);
  EXPECT_FALSE(find_record(folder_, {"new", "eth0"}));
}

TEST_F(Records, TornOnesAreFoundWithoutADelegate) {
  for (const char* torn : {"", "{", "[]", "\xff\xfe"}) {
    put("torn", torn);
    const std::optional<DelegateRecord> record = find_record(folder_, {"torn", "eth0"});
    ASSERT_TRUE(record) << torn;
    EXPECT_FALSE(record->delegate) << torn;
  }
}

}  // namespace
}  // namespace flannel::cni
