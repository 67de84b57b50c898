#include "rpc/endpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace flannel {
namespace {

TEST(Endpoint, ReadsEveryFormPeopleWrite) {
  EXPECT_EQ(*parse_endpoint("http://10.0.0.1:2379"),
            (Endpoint{.host = "10.0.0.1", .port = 2379, .tls = false}));
  EXPECT_EQ(*parse_endpoint("https://etcd.example:2379/"),
            (Endpoint{.host = "etcd.example", .port = 2379, .tls = true}));
  EXPECT_EQ(*parse_endpoint("https://[fd99::1]:2379"),
            (Endpoint{.host = "fd99::1", .port = 2379, .tls = true}));
  EXPECT_EQ(*parse_endpoint("node:4001"), (Endpoint{.host = "node", .port = 4001}));
  EXPECT_EQ(*parse_endpoint("unix:///run/etcd.sock"),
            (Endpoint{.socket_path = "/run/etcd.sock", .tls = false}));
  EXPECT_EQ(*parse_endpoint("unixs://localhost:1234"),
            (Endpoint{.socket_path = "localhost:1234", .tls = true}));
}

TEST(Endpoint, HasTheSchemesPortWithoutOne) {
  EXPECT_EQ(parse_endpoint("http://a")->port, 80);
  EXPECT_EQ(parse_endpoint("https://a")->port, 443);
}

TEST(Endpoint, NamesWhatIsWrong) {
  EXPECT_EQ(parse_endpoint("ftp://a:1").error().text,
            "endpoint \"ftp://a:1\": scheme is not http, https, unix or unixs");
  EXPECT_EQ(parse_endpoint("http://a:65536").error().text,
            "endpoint \"http://a:65536\": port \"65536\" is not between 1 and 65535");
  for (const char* bad : {"", ":1", "http://", "http://[::1", "http://[::1]x", "a:", "a:b", "a b:1",
                          "fd99::1", "unix://"}) {
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
  }
}

TEST(Endpoint, KeepsPasswordsOutOfItsErrors) {
  for (const char* text : {"http://root:secret@a:1", "root:secret@a:1", "ftp://root:secret@a"}) {
    const Result<Endpoint> endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint);
    EXPECT_EQ(endpoint.error().text.find("secret"), std::string::npos) << endpoint.error().text;
  }
}

TEST(Endpoint, ReadsAListAsTheReferenceDoes) {
  const Result<std::vector<Endpoint>> list = parse_endpoints(" HTTP://a:1, ,https://b:2,");
  ASSERT_TRUE(list) << list.error().text;
  EXPECT_EQ(*list,
            (std::vector<Endpoint>{{.host = "a", .port = 1, .socket_path = "", .tls = false},
                                   {.host = "b", .port = 2, .socket_path = "", .tls = true}}));
  EXPECT_EQ(parse_endpoints(" ,").error().text, "no endpoint is given");
  EXPECT_LT(parse_endpoints("http://a:" + std::string(100'000, 'x')).error().text.size(), 1000U);
  EXPECT_EQ(parse_endpoints("http://a\x1b[2J:x").error().text.find('\x1b'), std::string::npos);
}

// Passwords of random texts, of what means something in a URL above all: they are in no error and
// in nothing that is shown.
TEST(Endpoint, NoPasswordIsEverShown) {
  std::minstd_rand random(1);
  constexpr std::string_view kSigns = "/?#,@:;% []\\\"x=&";
  for (int round = 0; round < 20'000; ++round) {
    std::string password = "geheim";
    for (unsigned i = random() % 6; i > 0; --i) {
      password.insert(random() % (password.size() + 1), 1, kSigns[random() % kSigns.size()]);
    }
    std::string list;
    for (const char* part : {"a:1,", "http://b:2,", "HTTPS://", "ftp://", "http://"}) {
      list += random() % 3 == 0 ? part : "";
    }
    list += "root:" + password + "@c:3" + (random() % 2 == 0 ? ",http://d:4" : "");
    const Result<std::vector<Endpoint>> endpoints = parse_endpoints(list);
    ASSERT_FALSE(endpoints) << list;
    for (const std::string& shown : {endpoints.error().text, without_credentials(list)}) {
      for (std::size_t at = 0; at + 3 <= password.size(); ++at) {
        const std::string piece = password.substr(at, 3);
        const bool says_much = std::ranges::all_of(piece, [](char c) { return c >= 'a'; });
        ASSERT_TRUE(!says_much || shown.find(piece) == std::string::npos) << list << ": " << shown;
      }
    }
  }
  EXPECT_EQ(without_credentials("HTTP://u:p@a:1,http://b:2"), "http://(hidden)@a:1,http://b:2");
  EXPECT_EQ(without_credentials("a:1,http://u:p//x@b:2"), "(hidden)@b:2");
  EXPECT_EQ(without_credentials("http://a:1"), "http://a:1");
}

TEST(Endpoint, PrintsItselfAndItsAuthority) {
  for (const char* text : {"http://10.0.0.1:2379", "https://[fd99::1]:2379", "unixs:///run/e.sock",
                           "unix:///run/e.sock", "node:2379"}) {
    EXPECT_EQ(parse_endpoint(text)->to_text(), text);
  }
  EXPECT_EQ(parse_endpoint("http://[fd99::1]:2379")->authority(), "[fd99::1]:2379");
  EXPECT_EQ(parse_endpoint("unix:///run/e.sock")->authority(), "localhost");
}

TEST(Endpoint, AHostHasNoBracketsButThoseAroundIt) {
  EXPECT_EQ(parse_endpoint("[fd99::1]")->host, "fd99::1");
  for (const char* text : {"[[]", "[[fd99::1]:2379", "a]:1", "http://a[b:1"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

}  // namespace
}  // namespace flannel
