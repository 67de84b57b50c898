#include "kube/node_annotations.h"

#include <gtest/gtest.h>

#include "kube/node_objects_fixture.h"

namespace flannel {
namespace {

LeaseAttrs vxlan() {
  return {.public_ip = *IpAddr::parse("198.18.0.11"),
          .public_ipv6 = std::nullopt,
          .backend_type = "vxlan",
          .backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})",
          .backend_v6_data = ""};
}

// The patch that the reference sends (recorded with its version 0.28.9).
TEST(NodeAnnotations, AreTheReferencesByteForByte) {
  EXPECT_EQ(annotations_patch(changes_to(vxlan(), {}).value(), kPrefix),
            R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/backend-data":)"
            R"("{\"VNI\":1,\"VtepMAC\":\"02:00:5e:10:00:01\"}",)"
            R"("flannel.alpha.coreos.com/backend-type":"vxlan",)"
            R"("flannel.alpha.coreos.com/kube-subnet-manager":"true",)"
            R"("flannel.alpha.coreos.com/public-ip":"198.18.0.11"}}})");
}

TEST(NodeAnnotations, OnlyWhatDiffersIsWritten) {
  Annotations present = recorded_node(1).annotations;
  EXPECT_EQ(changes_to(vxlan(), present).value(), AnnotationChanges());
  present["backend-data"] = "null";
  present.erase("kube-subnet-manager");
  EXPECT_EQ(
      changes_to(vxlan(), present).value(),
      (AnnotationChanges{{"backend-data", vxlan().backend_data}, {"kube-subnet-manager", "true"}}));
}

TEST(NodeAnnotations, WhatIsNotInUseAnyMoreIsRemoved) {
  Annotations present = recorded_node(1).annotations;
  present["public-ipv6"] = "2001:db8::1";
  present["backend-v6-data"] = "null";
  const AnnotationChanges changes = changes_to(vxlan(), present).value();
  EXPECT_EQ(changes,
            (AnnotationChanges{{"backend-v6-data", std::nullopt}, {"public-ipv6", std::nullopt}}));
  EXPECT_EQ(annotations_patch(changes, "p/"),
            R"({"metadata":{"annotations":{"p/backend-v6-data":null,"p/public-ipv6":null}}})");
}

TEST(NodeAnnotations, OfBackendsWithoutDataSayNull) {
  LeaseAttrs attrs{.public_ip = *IpAddr::parse("198.18.0.11"),
                   .public_ipv6 = *IpAddr::parse("2001:db8::1"),
                   .backend_type = "host-gw"};
  AnnotationChanges wanted{{"kube-subnet-manager", "true"}, {"backend-type", "host-gw"},
                           {"public-ip", "198.18.0.11"},    {"backend-data", "null"},
                           {"public-ipv6", "2001:db8::1"},  {"backend-v6-data", "null"}};
  EXPECT_EQ(changes_to(attrs, {}).value(), wanted);
  attrs.public_ip.reset();
  wanted["public-ip"] = "0.0.0.0";
  EXPECT_EQ(changes_to(attrs, {}).value(), wanted);
  wanted = {{"kube-subnet-manager", "true"},
            {"backend-type", ""},
            {"public-ip", "0.0.0.0"},
            {"backend-data", "null"}};
  EXPECT_EQ(changes_to({}, {}).value(), wanted) << "alloc has no type";
}

TEST(NodeAnnotations, VxlanWithoutIpv4SaysNothingOfIt) {
  const LeaseAttrs attrs{.public_ip = std::nullopt,
                         .public_ipv6 = *IpAddr::parse("2001:db8::1"),
                         .backend_type = "vxlan",
                         .backend_data = "",
                         .backend_v6_data = R"({"VNI":1})"};
  EXPECT_EQ(changes_to(attrs, {}).value(),
            (AnnotationChanges{{"kube-subnet-manager", "true"},
                               {"backend-type", "vxlan"},
                               {"public-ipv6", "2001:db8::1"},
                               {"backend-v6-data", R"({"VNI":1})"}}));
}

TEST(NodeAnnotations, AnOverwriteIsPublishedInsteadOfTheAddress) {
  Annotations present = recorded_node(1).annotations;
  present["public-ip-overwrite"] = "203.0.113.7";
  EXPECT_EQ(changes_to(vxlan(), present).value(),
            (AnnotationChanges{{"public-ip", "203.0.113.7"}}));
  present["public-ip"] = "203.0.113.7";
  EXPECT_EQ(changes_to(vxlan(), present).value(), AnnotationChanges());
  present["public-ip-overwrite"] = "nowhere\x1b";
  EXPECT_EQ(changes_to(vxlan(), present).error().text,
            R"(annotation public-ip-overwrite "nowhere\x1b": not an IPv4 address)");
}

TEST(NodeAnnotations, AreReadBack) {
  const LeaseAttrs attrs = attrs_of(recorded_node(1).annotations).value();
  EXPECT_EQ(attrs, vxlan());
  EXPECT_EQ(attrs_of({{"backend-data", "null"}, {"public-ip", "0.0.0.0"}}).value(), LeaseAttrs());
  EXPECT_EQ(attrs_of({{"backend-data", "{\"VNI\" : 1}"}}).value().backend_data, R"({"VNI":1})");
  EXPECT_EQ(attrs_of({{"backend-data", "{"}}).error().text,
            R"(annotation backend-data "{": not JSON)");
  EXPECT_EQ(attrs_of({{"public-ip", "2001:db8::1"}}).error().text,
            R"(annotation public-ip "2001:db8::1": not an IPv4 address)");
  EXPECT_FALSE(attrs_of({{"backend-v6-data", std::string(kMostLeaseValue + 1, '1')}}));
}

TEST(NodeAnnotations, OfOurOwnNodeSayWhereItIsAndWhatItWas) {
  Annotations own = recorded_node(1).annotations;
  own["node-public-ip"] = "203.0.113.7";
  const NodeFacts facts = facts_of(own).value();
  EXPECT_EQ(facts.public_ip, *IpAddr::parse("203.0.113.7"));
  EXPECT_EQ(facts.public_ipv6, std::nullopt);
  EXPECT_EQ(facts.published, vxlan());
  own["backend-data"] = "02:00:5e:10:00:01";
  EXPECT_EQ(facts_of(own).value().published, std::nullopt) << "it is written anew";
  own["node-public-ipv6"] = "203.0.113.7";
  EXPECT_EQ(facts_of(own).error().text,
            R"(annotation node-public-ipv6 "203.0.113.7": not an IPv6 address)");
}

TEST(NodeAnnotations, PodCidrsAreTheSubnets) {
  EXPECT_EQ(to_text(subnets_of(recorded_node(1)).value()), "10.244.1.0-24&fc00:244:0:1::-64");
  EXPECT_EQ(subnets_of(recorded_node(3)).value(), LeaseKey());
  EXPECT_EQ(to_text(subnets_of({.pod_cidrs = {"fc00:1::/64", "10.1.2.3/24"}}).value()),
            "10.1.2.0-24&fc00:1::-64");
  EXPECT_EQ(subnets_of({.pod_cidrs = {"10.1.2.0"}}).error().text,
            R"(podCIDR "10.1.2.0": not a CIDR)");
  EXPECT_EQ(subnets_of({.pod_cidrs = {"10.1.2.0/24", "10.1.3.0/24"}}).error().text,
            "two podCIDRs of one family, 10.1.2.0/24 and 10.1.3.0/24");
}

TEST(NodeAnnotations, TheConditionIsTheReferences) {
  EXPECT_EQ(network_available_patch(
                std::chrono::system_clock::time_point(std::chrono::seconds(1'795'435'966))),
            R"({"status":{"conditions":[{"type":"NetworkUnavailable","status":"False",)"
            R"("lastHeartbeatTime":"2026-11-23T12:12:46Z",)"
            R"("lastTransitionTime":"2026-11-23T12:12:46Z","reason":"FlannelIsUp",)"
            R"("message":"Flannel is running on this node"}]}})");
}

}  // namespace
}  // namespace flannel
