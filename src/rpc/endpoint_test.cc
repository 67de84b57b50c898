#include "rpc/endpoint.h"

#include <gtest/gtest.h>

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

TEST(Endpoint, PrintsItselfAndItsAuthority) {
  for (const char* text : {"http://10.0.0.1:2379", "https://[fd99::1]:2379", "unixs:///run/e.sock",
                           "unix:///run/e.sock", "node:2379"}) {
    EXPECT_EQ(parse_endpoint(text)->to_text(), text);
  }
  EXPECT_EQ(parse_endpoint("http://[fd99::1]:2379")->authority(), "[fd99::1]:2379");
  EXPECT_EQ(parse_endpoint("unix:///run/e.sock")->authority(), "localhost");
}

}  // namespace
}  // namespace flannel
