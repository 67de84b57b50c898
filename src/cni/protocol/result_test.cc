#include "cni/protocol/result.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "cni/protocol/error.h"
#include "cni/protocol/request.h"

namespace flannel::cni {
namespace {

AddResult sample() {
  return {.interfaces = {{.name = "cni0", .mac = "1a:da:b3:9e:06:3f"},
                         {.name = "veth1", .mac = "2a:a6:1a:10:4c:fa"},
                         {.name = "eth0", .mac = "02:00:00:00:00:77", .sandbox = "/mnt/ns"}},
          .ips = {{2, *Prefix::parse("10.5.1.4/24"), *IpAddr::parse("10.5.1.1")},
                  {2, *Prefix::parse("fc00:5::4/64"), *IpAddr::parse("fc00:5::1")}},
          .routes = {{.dst = *Prefix::parse("10.5.0.0/16"), .mtu = 1300, .priority = 7},
                     {.dst = *Prefix::parse("0.0.0.0/0"), .gw = *IpAddr::parse("10.5.1.1")},
                     {.dst = *Prefix::parse("fc00:5::/48")}},
          .dns = {.nameservers = {"198.18.0.53"}, .search = {"a.test"}}};
}

// What the Go bridge (plugins 1.9.1) printed for the same ADD, spaces removed; the order of fields
// as well.
constexpr const char* kFlat =
    R"({"cniVersion":"VERSION","ip4":{"ip":"10.5.1.4/24","gateway":"10.5.1.1","routes":[)"
    R"({"dst":"10.5.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.5.1.1"}]},"ip6":{"ip":"fc00:5::4/64",)"
    R"("gateway":"fc00:5::1","routes":[{"dst":"fc00:5::/48"}]},"dns":{"nameservers":)"
    R"(["198.18.0.53"],"search":["a.test"]}})";
constexpr const char* kWithFamilies =
    R"({"cniVersion":"VERSION","interfaces":[{"name":"cni0","mac":"1a:da:b3:9e:06:3f"},)"
    R"({"name":"veth1","mac":"2a:a6:1a:10:4c:fa"},{"name":"eth0","mac":"02:00:00:00:00:77",)"
    R"("sandbox":"/mnt/ns"}],"ips":[{"version":"4","interface":2,"address":"10.5.1.4/24",)"
    R"("gateway":"10.5.1.1"},{"version":"6","interface":2,"address":"fc00:5::4/64","gateway":)"
    R"("fc00:5::1"}],"routes":[{"dst":"10.5.0.0/16","mtu":1300,"priority":7},)"
    R"({"dst":"0.0.0.0/0","gw":"10.5.1.1"},{"dst":"fc00:5::/48"}],"dns":{"nameservers":)"
    R"(["198.18.0.53"],"search":["a.test"]}})";
constexpr const char* kSorted =
    R"({"cniVersion":"VERSION","dns":{"nameservers":["198.18.0.53"],"search":["a.test"]},)"
    R"("interfaces":[{"mac":"1a:da:b3:9e:06:3f","name":"cni0"},{"mac":"2a:a6:1a:10:4c:fa",)"
    R"("name":"veth1"},{"mac":"02:00:00:00:00:77","name":"eth0","sandbox":"/mnt/ns"}],)"
    R"("ips":[{"address":"10.5.1.4/24","gateway":"10.5.1.1","interface":2},{"address":)"
    R"("fc00:5::4/64","gateway":"fc00:5::1","interface":2}],"routes":[{"dst":"10.5.0.0/16",)"
    R"("mtu":1300,"priority":7},{"dst":"0.0.0.0/0","gw":"10.5.1.1"},{"dst":"fc00:5::/48"}]})";

std::string recorded(std::string_view version) {
  std::string text = version < "0.3.0" ? kFlat : version < "1.0.0" ? kWithFamilies : kSorted;
  return text.replace(text.find("VERSION"), 7, version);
}

TEST(CniResult, IsPrintedAsTheReferencePrintsEachVersion) {
  for (const std::string_view version : kVersions) {
    EXPECT_EQ(json::serialize(to_json(sample(), version)), recorded(version));
  }
}

TEST(CniResult, ReadsBackEachVersion) {
  for (const std::string_view version : kVersions) {
    const AddResult read = parse_result(parse_json_object(recorded(version), "recorded"), "0.1.0");
    EXPECT_EQ(json::serialize(to_json(read, version)), recorded(version));
    if (version >= "0.3.0") {
      EXPECT_EQ(read, sample()) << version;
    }
  }
}

TEST(CniResult, WithoutDnsNamesItOnlyInOldVersions) {
  EXPECT_EQ(json::serialize(to_json({}, "0.4.0")), R"({"cniVersion":"0.4.0","dns":{}})");
  EXPECT_EQ(json::serialize(to_json({}, "1.0.0")), R"({"cniVersion":"1.0.0"})");
}

TEST(CniResult, RefusesWhatIsNone) {
  for (const char* text :
       {R"({"cniVersion":"7"})", R"({"ips":[{}]})", R"({"ips":[{"address":"10.5.1.1"}]})",
        R"({"ips":5})", R"({"interfaces":[5]})", R"({"routes":[{"gw":"10.5.1.1"}]})",
        R"({"routes":[{"dst":"10.5.0.0/16","mtu":"x"}]})", R"({"cniVersion":5})"}) {
    EXPECT_THROW(parse_result(parse_json_object(text, "result"), "1.0.0"), CniError) << text;
  }
}

}  // namespace
}  // namespace flannel::cni
