#include "kube/api_error.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

namespace flannel {
namespace {

std::string in_protobuf(const std::string& kind, const std::string& reason,
                        const std::string& message) {
  std::string out("k8s\0", 4);
  protozero::pbf_writer unknown(out);
  {
    protozero::pbf_writer type(unknown, 1);
    type.add_string(1, "v1");
    type.add_string(2, kind);
  }
  protozero::pbf_writer status(unknown, 2);
  status.add_string(2, "Failure");
  status.add_string(3, message);
  status.add_string(4, reason);
  status.add_int32(6, 410);
  return out;
}

TEST(ApiErrorTest, StatusObjectsAreRead) {
  const ApiStatus expired{.reason = "Expired", .message = "too old", .code = 410};
  EXPECT_EQ(parse_api_status(R"({"kind":"Status","reason":"Expired","message":"too old",)"
                             R"("code":410})"),
            expired);
  EXPECT_EQ(parse_api_status(in_protobuf("Status", "Expired", "too old")), expired);
}

TEST(ApiErrorTest, WhatIsNoStatusIsNone) {
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string(R"({"kind":"Node"})"), std::string("[]"),
        std::string("k8s\0", 4), std::string("k8s\0\x0a\xff", 6), in_protobuf("Node", "a", "b")}) {
    EXPECT_EQ(parse_api_status(body), std::nullopt) << body;
  }
  EXPECT_EQ(parse_api_status(R"({"kind":"Status","reason":7,"code":"x"})"), ApiStatus());
}

std::string denied(const std::string& message, int status = 403) {
  const std::string body =
      fmt::format(R"({{"kind":"Status","reason":"Forbidden","message":"{}"}})", message);
  return make_api_error("GET /", status, body).what();
}

TEST(ApiErrorTest, WhichRightIsMissingIsSaid) {
  const std::string flannel = "system:serviceaccount:kube-flannel:flannel";
  EXPECT_EQ(denied("nodes is forbidden: User \\\"" + flannel +
                   "\\\" cannot list resource \\\"nodes\\\" in API group \\\"\\\" at the cluster "
                   "scope"),
            "GET /: HTTP status 403, Forbidden: the account " + flannel +
                " may not list nodes: no rule of a ClusterRole that is bound to it has the verb "
                "list for nodes");
  EXPECT_EQ(denied("nodes \\\"n1\\\" is forbidden: User \\\"" + flannel +
                   "\\\" cannot patch resource \\\"nodes/status\\\" in API group \\\"\\\" at the "
                   "cluster scope: RBAC: clusterrole \\\"flannel\\\" not found"),
            "GET /: HTTP status 403, Forbidden: the account " + flannel +
                " may not patch nodes/status: no rule of a ClusterRole that is bound to it has the "
                "verb patch for nodes/status (RBAC: clusterrole \"flannel\" not found)");
  EXPECT_TRUE(denied("pods \\\"p\\\" is forbidden: User \\\"u\\\" cannot get resource \\\"pods\\\" "
                     "in API group \\\"\\\" in the namespace \\\"kube-flannel\\\"")
                  .ends_with("has the verb get for pods"));
}

TEST(ApiErrorTest, AKubeletsAccountMayNotListNodes) {
  EXPECT_EQ(
      denied("nodes is forbidden: User \\\"system:node:n1\\\" cannot list resource "
             "\\\"nodes\\\" in API group \\\"\\\" at the cluster scope: node 'n1' cannot read "
             "all nodes, only its own Node object"),
      "GET /: HTTP status 403, Forbidden: the account system:node:n1 may not list nodes: "
      "since Kubernetes 1.32 a kubelet's account may only read its own Node; use the service "
      "account of our manifest");
}

TEST(ApiErrorTest, OtherRefusalsAreInTheServersWords) {
  const std::string words =
      "nodes \\\"n2\\\" is forbidden: node \\\"n1\\\" is not allowed to modify";
  EXPECT_TRUE(
      denied(words).ends_with(": nodes \"n2\" is forbidden: node \"n1\" is not allowed to "
                              "modify"));
}

TEST(ApiErrorTest, ForeignWordsArePrintable) {
  const ApiError error =
      make_api_error("GET /", 502, "bad\ngateway\x1b[31m" + std::string(9'000, 'x'));
  EXPECT_TRUE(std::string(error.what()).starts_with("GET /: HTTP status 502: bad\\x0agateway"));
  EXPECT_LT(std::string(error.what()).size(), 1'500U);
}

}  // namespace
}  // namespace flannel
