#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace flannel {
namespace {

// The document as JSON, or what is wrong with it.
std::string read(std::string_view text) {
  const Result<boost::json::value> document = parse_yaml(text);
  return document ? boost::json::serialize(*document) : document.error().text;
}

TEST(YamlTest, DocumentsBecomeJson) {
  EXPECT_EQ(read("a: 1\nb: [x, 'true', ~]\nc:\n- d: \"\"\n  e:\n"),
            R"({"a":"1","b":["x","true",null],"c":[{"d":"","e":null}]})");
  EXPECT_EQ(read(R"({"a": {"b": "c"}})"), R"({"a":{"b":"c"}})");
  EXPECT_EQ(read(""), "null");
  EXPECT_EQ(read("a: 1\na: 2"), R"({"a":"2"})");
  EXPECT_EQ(read("a: &x [1, 2]\nb: *x"), R"({"a":["1","2"],"b":["1","2"]})");
}

TEST(YamlTest, ErrorsSayWhere) {
  EXPECT_EQ(read("a: 1\nb: [x"), "line 3, column 1: did not find expected ',' or ']'");
  EXPECT_EQ(read("a: *x"), "line 1: no anchor \"x\"");
  EXPECT_EQ(read("a:\n  [1]: 2"), "line 2: a key that is no text");
  EXPECT_TRUE(read("\xff").contains("line 1, column 1: ")) << read("\xff");
}

TEST(YamlTest, WhatGetsLargeByItsAliasesIsRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    const std::string alias = fmt::format("*a{}", i - 1);
    bomb += fmt::format("a{}: &a{} [{}, {}, {}, {}]\n", i, i, alias, alias, alias, alias);
  }
  EXPECT_TRUE(read(bomb).ends_with(": too much in it")) << read(bomb);
  const std::string text(100'000, 'x');
  std::string copies = "a: [*a";
  for (int i = 0; i < 1'000; ++i) {
    copies += ", *a";
  }
  EXPECT_TRUE(read("t: &a " + text + "\n" + copies + "]").ends_with(": too much in it"));
  EXPECT_TRUE(read("t: &a {? " + text + " : x}\n" + copies + "]").ends_with(": too much in it"));
  EXPECT_EQ(read("a: &a [*a]"), "line 1: no anchor \"a\"");
  EXPECT_EQ(read(std::string(100'000, '[')), "line 1: nested too deep");
  std::string nested;
  for (int i = 0; i < 100'000; ++i) {
    nested += "{a: ";
  }
  EXPECT_EQ(read(nested), "line 1: nested too deep");
}

}  // namespace
}  // namespace flannel
