#include "kube/annotation_prefix.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(AnnotationPrefixTest, EndsInSlashOrDash) {
  const std::pair<std::string, std::string> cases[] = {
      {"flannel.alpha.coreos.com", "flannel.alpha.coreos.com/"},
      {"flannel.alpha.coreos.com/", "flannel.alpha.coreos.com/"},
      {"flannel.x.io/c1", "flannel.x.io/c1-"},
      {"flannel.x.io/c1-", "flannel.x.io/c1-"},
      {"flannel.x.io/c_1-a", "flannel.x.io/c_1-a-"},
      {"A.b.c", "A.b.c/"},
      {"a.b", "a.b/"}};
  for (const auto& [text, prefix] : cases) {
    EXPECT_EQ(parse_annotation_prefix(text), prefix) << text;
    EXPECT_EQ(parse_annotation_prefix(prefix), prefix) << text;
  }
}

TEST(AnnotationPrefixTest, WhatIsNone) {
  EXPECT_EQ(parse_annotation_prefix("a.b/c/d").error().text,
            "prefix can contain at most single slash: \"a.b/c/d\"");
  for (const char* text : {"", "/", "nodots", "nodots/a", "a.B", "a.", ".a", "a.b/C", "a.b/-",
                           "a.b/c d", "a b.c d", "a.b\n"}) {
    EXPECT_FALSE(parse_annotation_prefix(text)) << text;
  }
  EXPECT_EQ(parse_annotation_prefix("nodots").error().text,
            "prefix must be in a format: fqdn/[0-9a-z-_]*: \"nodots\"");
}

}  // namespace
}  // namespace flannel
