#include "kube/node_json.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "kube/node_objects_fixture.h"

namespace flannel {
namespace {

const std::string kNode =
    R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"n2",)"
    R"("uid":"4b0f3a54-0002-4000-8000-000000000002","resourceVersion":"99","annotations":{)"
    R"("node.alpha.kubernetes.io/ttl":"0",)"
    R"("flannel.alpha.coreos.com/backend-data":"{\"VNI\":1,\"VtepMAC\":\"02:00:5e:10:00:02\"}",)"
    R"("flannel.alpha.coreos.com/backend-type":"vxlan",)"
    R"("flannel.alpha.coreos.com/kube-subnet-manager":"true",)"
    R"("flannel.alpha.coreos.com/public-ip":"198.18.0.12"}},)"
    R"("spec":{"podCIDR":"10.244.2.0/24","podCIDRs":["10.244.2.0/24"]},)"
    R"("status":{"conditions":[{"type":"Ready","status":"True"},)"
    R"({"type":"NetworkUnavailable","status":"True"}]}})";

TEST(NodeJson, SaysTheSameAsProtobuf) {
  EXPECT_EQ(parse_node(kNode, kPrefix), recorded_node(2));
  const NodeEvent event = parse_node_event(R"({"type":"ADDED","object":)" + kNode + "}", kPrefix);
  EXPECT_EQ(event, (NodeEvent{NodeEvent::Type::added, recorded_node(2), {}}));
  const NodeEvent error = parse_node_event(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})", kPrefix);
  EXPECT_EQ(error.status.code, 410);
}

TEST(NodeJson, AListMayHaveMoreBehindIt) {
  const NodeListPage page = parse_node_list(
      R"({"kind":"NodeList","metadata":{"resourceVersion":"7","continue":"t"},"items":[)" + kNode +
          "]}",
      kPrefix);
  EXPECT_EQ(page.nodes, std::vector{recorded_node(2)});
  EXPECT_EQ(page.version, "7");
  EXPECT_EQ(page.more, "t");
  EXPECT_TRUE(parse_node_list(R"({"kind":"NodeList","items":null})", kPrefix).nodes.empty());
}

TEST(NodeJson, WhatIsNoNodeSaysSo) {
  const std::string number =
      R"({"kind":"Node","metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip":1}}})";
  const std::vector<std::string> texts = {"",
                                          "[]",
                                          "{}",
                                          R"({"kind":"Pod"})",
                                          R"({"kind":"Node","metadata":1})",
                                          R"({"kind":"Node","metadata":{"name":7}})",
                                          R"({"kind":"Node","spec":{"podCIDRs":[1]}})",
                                          number};
  for (const std::string& text : texts) {
    EXPECT_THROW(parse_node(text, kPrefix), std::runtime_error) << text;
  }
}

}  // namespace
}  // namespace flannel
