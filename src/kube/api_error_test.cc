#include "kube/api_error.h"

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

TEST(ApiErrorTest, ForeignWordsArePrintable) {
  const ApiError error =
      make_api_error("GET /", 502, "bad\ngateway\x1b[31m" + std::string(9'000, 'x'));
  EXPECT_TRUE(std::string(error.what()).starts_with("GET /: HTTP status 502: bad\\x0agateway"));
  EXPECT_LT(std::string(error.what()).size(), 1'500U);
}

}  // namespace
}  // namespace flannel
