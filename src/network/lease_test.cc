#include "network/lease.h"

#include <gtest/gtest.h>

#include <random>

namespace flannel {
namespace {

TEST(LeaseKey, KeepsTheReferencesText) {
  for (const char* text : {"10.5.60.0-24", "10.5.60.0-24&fc00:5:0:1b::-64",
                           "0.0.0.0-0&fc00:5:0:22::-64", "10.0.0.0-8"}) {
    const Result<LeaseKey> key = parse_lease_key(text);
    ASSERT_TRUE(key) << key.error().text;
    EXPECT_EQ(to_text(*key), text);
  }
}

// As the reference's regular expression finds it.
TEST(LeaseKey, IsFoundAtTheEndOfALongerText) {
  for (const char* text :
       {"/coreos.com/network/subnets/10.5.60.0-24", "x-10.5.60.0-24", "9-10.5.60.0-24",
        "1.2.10.5.60.0-24", "x&10.5.60.0-24", "é10.5.60.0-24", "10.5.60.7-24"}) {
    const Result<LeaseKey> key = parse_lease_key(text);
    ASSERT_TRUE(key) << text;
    EXPECT_EQ(to_text(*key), "10.5.60.0-24") << text;
  }
  EXPECT_EQ(to_text(*parse_lease_key("x-10.5.60.0-24&fc00::1-64")), "10.5.60.0-24&fc00::-64");
  EXPECT_FALSE(is_text_of("x-10.5.60.0-24", *parse_lease_key("10.5.60.0-24")));
  EXPECT_FALSE(is_text_of("a/10.5.60.0-24", *parse_lease_key("10.5.60.0-24")));
  EXPECT_TRUE(is_text_of("10.5.60.0-24", *parse_lease_key("10.5.60.0-24")));
}

TEST(LeaseKey, RefusesWhatIsNone) {
  for (const char* text : {"", "junk", "10.5.60.0", "10.5.60.0-", "10.5.60.0-32", "10.5.60.0-99",
                           "10.5.60-24", "10.5.60.0-24x", "10.5.60.0-24&", "10.5.60.0-24&FC00::-64",
                           "10.5.60.0-24&fc00::-128", "0.0.0.0-0", "300.5.60.0-24"}) {
    const Result<LeaseKey> key = parse_lease_key(text);
    EXPECT_FALSE(key) << text;
    EXPECT_NE(key.error().text.find(text), std::string::npos);
  }
}

// Values as the reference writes them, byte for byte.
TEST(LeaseAttrs, KeepTheReferencesBytes) {
  for (
      const char* json :
      {R"({"PublicIP":"198.18.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"96:64:b0:ae:0e:c8"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:ee:7d:1c:40:3d"}})",
       R"({"PublicIP":"198.18.0.2","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"96:64:b0:ae:0e:c8"}})",
       R"({"PublicIP":"198.18.0.2","PublicIPv6":null,"BackendType":"host-gw"})",
       R"({"PublicIP":"198.18.0.2","PublicIPv6":null})",
       R"({"PublicIP":"0.0.0.0","PublicIPv6":"fd99::2"})",
       R"({"PublicIP":"198.18.0.2","PublicIPv6":null,"BackendType":"extension","BackendData":"hi"})"}) {
    const Result<LeaseAttrs> attrs = parse_lease_attrs(json);
    ASSERT_TRUE(attrs) << attrs.error().text;
    EXPECT_EQ(to_json(*attrs), json);
  }
}

TEST(LeaseAttrs, AreReadAsGoReadsThem) {
  const LeaseAttrs attrs = *parse_lease_attrs(
      R"({ "publicip" : "198.18.0.2", "Extra": {"a":1}, "BACKENDTYPE": "vxlan" })");
  EXPECT_EQ(attrs.public_ip->to_text(), "198.18.0.2");
  EXPECT_EQ(attrs.backend_type, "vxlan");
  EXPECT_FALSE(parse_lease_attrs(R"({"BackendType":"vxlan"})")->public_ip);
}

TEST(LeaseAttrs, RefuseBadValuesByName) {
  EXPECT_EQ(parse_lease_attrs(R"({"PublicIP":"x"})").error().text,
            "PublicIP \"x\": invalid IP address");
  EXPECT_EQ(parse_lease_attrs(R"({"PublicIP":"fd99::2"})").error().text,
            "PublicIP \"fd99::2\": invalid IP address");
  EXPECT_EQ(parse_lease_attrs(R"({"PublicIP":7})").error().text, "PublicIP 7: not a string");
  EXPECT_EQ(parse_lease_attrs(R"({"BackendType":[]})").error().text,
            "BackendType []: not a string");
  for (const char* text : {"", "{", "[]", "null", "7", "{\"PublicIP\":"}) {
    EXPECT_EQ(parse_lease_attrs(text).error().text, "not a JSON object") << text;
  }
}

TEST(Lease, SurvivesJunk) {
  std::minstd_rand random(3);
  const std::string key = "10.5.60.0-24&fc00:5:0:1b::-64";
  const std::string value =
      R"({"PublicIP":"198.18.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1}})";
  for (int i = 0; i < 20'000; ++i) {
    std::string a = key, b = value;
    a[random() % a.size()] = static_cast<char>(random());
    b[random() % b.size()] = static_cast<char>(random());
    if (const Result<LeaseKey> parsed = parse_lease_key(a)) {
      EXPECT_EQ(parse_lease_key(to_text(*parsed)), parsed);
    }
    if (const Result<LeaseAttrs> parsed = parse_lease_attrs(b)) {
      EXPECT_EQ(parse_lease_attrs(to_json(*parsed)), parsed) << b;
    }
  }
}

}  // namespace
}  // namespace flannel
