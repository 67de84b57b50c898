#include "cni/ipam/host_local.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/directory_fixture.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

class HostLocal : public testing::Test {
 protected:
  // `ranges` as in a configuration.
  HostLocalConfig config(const std::string& ranges, const std::string& more = "") const {
    Request request;
    request.name = "net";
    request.version = "1.0.0";
    request.config = parse_json_object(
        fmt::format(R"({{"ipam":{{"dataDir":"{}","ranges":{}}}{}}})", folder_, ranges, more),
        "configuration");
    return parse_host_local(request);
  }
  HostLocalConfig small() const { return config(R"([[{"subnet":"10.5.1.0/29"}]])"); }

  std::string add(const std::string& id, const HostLocalConfig& config,
                  const Containers& containers = {}) const {
    try {
      std::string out;
      for (const ResultIp& ip : allocate(config, {id, "eth0"}, containers).ips) {
        out += (out.empty() ? "" : " ") + ip.address.to_text();
      }
      return out;
    } catch (const CniError& error) {
      return error.what();
    }
  }
  std::string network() const { return folder_ + "/net"; }
  std::string text_of(const std::string& name) const {
    return read_file(network() + "/" + name).value_or("none");
  }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(network());
    std::ofstream(network() + "/" + name) << text;
  }

  const TestDirectory directory_;
  const std::string folder_ = directory_.path();
};

TEST_F(HostLocal, GivesAddressesInTurnAndSkipsTheGateway) {
  for (const char* wanted : {"10.5.1.2/29", "10.5.1.3/29", "10.5.1.4/29"}) {
    EXPECT_EQ(add(wanted[7] + std::string("x"), small()), wanted);
  }
  release(network(), {"2x", "eth0"});
  EXPECT_EQ(add("a", small()), "10.5.1.5/29");
  EXPECT_EQ(add("b", small()), "10.5.1.6/29");
  EXPECT_EQ(add("c", small()), "10.5.1.2/29");  // around, past the gateway
  EXPECT_EQ(add("d", small()),
            "failed to allocate for range 0: no IP addresses available in range "
            "set: 10.5.1.1-10.5.1.6");
  EXPECT_EQ(text_of("last_reserved_ip.0"), "10.5.1.2");
}

TEST_F(HostLocal, KeepsFilesAsTheReferenceDoes) {
  EXPECT_EQ(add("id", small()), "10.5.1.2/29");
  EXPECT_EQ(text_of("10.5.1.2"), "id\r\neth0");
  struct stat about{};
  ASSERT_EQ(::stat((network() + "/10.5.1.2").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777U, 0600U);
  release(network(), {"id", "eth1"});
  EXPECT_TRUE(has_address(network(), {"id", "eth0"}));
  release(network(), {"id", "eth0"});
  EXPECT_FALSE(has_address(network(), {"id", "eth0"}));
  put("10.5.1.3", " old \n");  // written before interfaces were
  EXPECT_TRUE(has_address(network(), {"old", "eth7"}));
  release(network(), {"old", "eth7"});
  EXPECT_EQ(text_of("10.5.1.3"), "none");
}

TEST_F(HostLocal, RefusesASecondAddressOfTheSameSet) {
  add("id", small());
  EXPECT_EQ(add("id", small()),
            "failed to allocate for range 0: 10.5.1.2 has been allocated to id, duplicate "
            "allocation is not allowed");
}

TEST_F(HostLocal, GivesRequestedAddresses) {
  const auto asking = [&](const char* ips) {
    return config(R"([[{"subnet":"10.5.1.0/24"}],[{"subnet":"fc00:5::/64"}]])",
                  fmt::format(R"(,"runtimeConfig":{{"ips":[{}]}})", ips));
  };
  EXPECT_EQ(add("a", asking(R"("10.5.1.9/24","fc00:5::9")")), "10.5.1.9/24 fc00:5::9/64");
  EXPECT_EQ(add("b", asking(R"("fc00:5::77")")), "10.5.1.10/24 fc00:5::77/64");
  // The first set's address is given back each time.
  for (const auto& [ips, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("fc00:5::9")",
            "requested IP address fc00:5::9 is not available in range set "
            "fc00:5::1-fc00:5::ffff:ffff:ffff:ffff"},
           {R"("fc00:5::1")", "requested ip fc00:5::1 is subnet's gateway"},
           {R"("10.9.9.9")", "failed to allocate all requested IPs: 10.9.9.9"}}) {
    EXPECT_NE(add("c", asking(ips)).find(text), std::string::npos) << add("c", asking(ips));
    EXPECT_FALSE(has_address(network(), {"c", "eth0"}));
  }
}

TEST_F(HostLocal, TakesBackARequestedAddressThatNobodyUses) {
  const HostLocalConfig wish =
      config(R"([[{"subnet":"10.5.1.0/24"}]])", R"(,"runtimeConfig":{"ips":["10.5.1.9"]})");
  const auto gone = [](const Attachment& who) { return who.container_id == "gone"; };
  put("10.5.1.9", "here\r\neth0");
  EXPECT_NE(add("a", wish, {.is_gone = gone}).find("is not available"), std::string::npos);
  put("10.5.1.9", "gone\r\neth0");
  EXPECT_NE(add("b", wish).find("is not available"), std::string::npos);
  EXPECT_EQ(add("b", wish, {.is_gone = gone}), "10.5.1.9/24");
  put("10.5.1.9", "");
  EXPECT_EQ(add("c", wish), "10.5.1.9/24");
  EXPECT_EQ(add("d", wish, {.oldest = [] { return std::int64_t{1} << 40; }}), "10.5.1.9/24");
  EXPECT_EQ(text_of("10.5.1.9"), "d\r\neth0");
}

TEST_F(HostLocal, FollowsNoLinksAndWaitsForNoFifoInItsFolder) {
  put("10.5.1.2", "");
  const std::string victim = folder_ + "/victim";
  std::ofstream(victim) << "text";
  std::filesystem::create_symlink(victim, network() + "/last_reserved_ip.0");
  EXPECT_NE(add("a", small()).find("last_reserved_ip.0: Too many levels of symbolic links"),
            std::string::npos);
  EXPECT_EQ(read_file(victim), "text");
  EXPECT_FALSE(has_address(network(), {"a", "eth0"})) << "what was reserved is given back";
  std::filesystem::remove(network() + "/last_reserved_ip.0");
  ASSERT_EQ(::mkfifo((network() + "/10.5.1.3").c_str(), 0600), 0);
  std::filesystem::create_symlink(victim, network() + "/10.5.1.4");
  EXPECT_EQ(add("b", small()), "10.5.1.5/29");
  release(network(), {"text", "eth0"});  // which that link seems to say
  EXPECT_TRUE(std::filesystem::is_symlink(network() + "/10.5.1.4"));
}

TEST_F(HostLocal, GoesOnFromRangeToRange) {
  const HostLocalConfig two = config(
      R"([[{"subnet":"10.5.1.0/24","rangeStart":"10.5.1.8","rangeEnd":"10.5.1.8"},
           {"subnet":"10.6.1.0/24","rangeStart":"10.6.1.8","rangeEnd":"10.6.1.9"}]])");
  EXPECT_EQ(add("a", two), "10.5.1.8/24");
  EXPECT_EQ(add("b", two), "10.6.1.8/24");
  EXPECT_EQ(add("c", two), "10.6.1.9/24");
  release(network(), {"a", "eth0"});
  EXPECT_EQ(add("d", two), "10.5.1.8/24");
}

TEST_F(HostLocal, TakesBackWhatNobodyUsesWhenFull) {
  const HostLocalConfig range =
      config(R"([[{"subnet":"10.5.1.0/24","rangeStart":"10.5.1.8","rangeEnd":"10.5.1.10"}]])");
  add("a", range);
  add("b", range);
  add("c", range);
  const std::string full = add("d", range);
  EXPECT_NE(full.find("no IP addresses available"), std::string::npos);
  EXPECT_EQ(
      add("d", range, {.is_gone = [](const Attachment& each) { return each.container_id == "b"; }}),
      "10.5.1.9/24");
  put("10.5.1.10", "");  // a crash
  EXPECT_EQ(add("e", range), "10.5.1.10/24");
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (network() + "/10.5.1.8").c_str(), old, 0), 0);
  EXPECT_NE(add("f", range, {.oldest = [] { return 1000; }}).find("no IP"), std::string::npos);
  EXPECT_EQ(add("f", range, {.oldest = [] { return 1001; }}), "10.5.1.8/24");
  put("10.5.1.200", "");  // of no range
  EXPECT_NE(add("g", range).find("no IP addresses available"), std::string::npos);
}

TEST_F(HostLocal, CollectsAllButTheValid) {
  for (const char* id : {"a", "b", "c"}) {
    add(id, small());
  }
  put("10.5.1.6", "");
  put("junk", "a");
  release_others(network(), {{"b", "eth0"}, {"c", "eth1"}});
  EXPECT_TRUE(has_address(network(), {"b", "eth0"}));
  EXPECT_FALSE(has_address(network(), {"a", "eth0"}));
  EXPECT_FALSE(has_address(network(), {"c", "eth0"}));
  EXPECT_EQ(text_of("10.5.1.6"), "none");
  EXPECT_EQ(text_of("junk"), "a");
}

TEST_F(HostLocal, SurvivesJunkInItsFolder) {
  put("last_reserved_ip.0", "junk");
  put("10.5.1.2", "someone\r\neth0\r\nmore");
  put("10.5.1.3", std::string(100'000, 'x'));
  std::filesystem::create_directory(network() + "/10.5.1.4");
  EXPECT_EQ(add("a", small()), "10.5.1.5/29");
  release(network(), {"a", "eth0"});
  EXPECT_FALSE(has_address(network(), {"a", "eth0"}));
}

TEST_F(HostLocal, RefusesRangesThatCannotBe) {
  for (const char* ranges :
       {"[]", "[[]]", "[5]", "[[5]]", R"([[{}]])", R"([[{"subnet":"10.5.1.0/31"}]])",
        R"([[{"subnet":"10.5.1.1/24"}]])", R"([[{"subnet":"fc00::/127"}]])",
        R"([[{"subnet":"10.5.1.0/24","rangeStart":"10.9.9.9"}]])",
        R"([[{"subnet":"10.5.1.0/24","rangeStart":"10.5.1.9","rangeEnd":"10.5.1.3"}]])",
        R"([[{"subnet":"10.5.1.0/24","gateway":"x"}]])",
        R"([[{"subnet":"10.5.1.0/24","gateway":"fc00::1"}]])",
        R"([[{"subnet":"fc00::/64","gateway":"10.5.1.1"}]])",
        R"([[{"subnet":"10.5.1.0/24","rangeStart":"10.5.1.0"}]])",
        R"([[{"subnet":"fc00::/64","rangeStart":"fc00::"}]])",
        R"([[{"subnet":"10.5.1.0/24","rangeEnd":"10.5.1.255"}]])",
        R"([[{"subnet":"10.5.1.0/24"},{"subnet":"fc00::/64"}]])",
        R"([[{"subnet":"10.5.1.0/24"},{"subnet":"10.5.1.128/25"}]])",
        R"([[{"subnet":"10.5.1.0/24"}],[{"subnet":"10.5.0.0/16"}]])"}) {
    EXPECT_THROW(config(ranges), CniError) << ranges;
  }
  EXPECT_EQ(config(R"([[{"subnet":"0.0.0.0/0"}]])").sets[0].ranges[0].last.to_text(),
            "255.255.255.254");
  EXPECT_EQ(config(R"([[{"subnet":"::/0"}]])").sets[0].ranges[0].last.to_text(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST(ResolvConf, IsRead) {
  const ResultDns dns = parse_resolv_conf(
      "# comment\nnameserver 198.18.0.1\nnameserver\nsearch a b\nsearch c\ndomain d\noptions e "
      "f\n");
  EXPECT_EQ(dns, (ResultDns{{"198.18.0.1"}, "d", {"a", "b", "c"}, {"e", "f"}}));
}

}  // namespace
}  // namespace flannel::cni
