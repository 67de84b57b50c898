#include "daemon/bridge_netfilter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/directory_fixture.h"
#include "base/file.h"

namespace flannel {
namespace {

class BridgeNetfilterTest : public testing::Test {
 protected:
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

  static NetworkConfig config(const std::string& more) {
    return *parse_network_config(R"({"Network":"10.5.0.0/16",)" + more +
                                 R"("Backend":{"Type":"alloc"}})");
  }
  // Before all other programs of the name.
  void program(const std::string& name, const std::string& text) {
    ASSERT_TRUE(replace_file(directory_.file(name), "#!/bin/sh\n" + text, 0755));
    ::setenv("PATH", directory_.path().c_str(), 1);
  }
  void set(const std::string& name, const std::string& value) {
    std::filesystem::create_directories(folder_);
    ASSERT_TRUE(replace_file(folder_ + "/" + name, value + "\n", 0644));
  }
  std::string warning(const NetworkConfig& config, const std::string& not_loaded = "") {
    const std::vector<std::string> all = bridge_netfilter_warnings(config, not_loaded, folder_);
    return all.empty() ? "" : all.size() == 1 ? all[0] : "several";
  }

  const TestDirectory directory_;
  const std::string folder_ = directory_.file("bridge");
  const std::string path_ = std::getenv("PATH");
};

TEST_F(BridgeNetfilterTest, IsLoadedWhereItIsNotThere) {
  program("modprobe", "[ $* = br_netfilter ] && /bin/mkdir " + folder_);
  EXPECT_TRUE(load_bridge_netfilter(folder_));
  EXPECT_EQ(warning(config("")), "");
  program("modprobe", "exit 1");
  EXPECT_TRUE(load_bridge_netfilter(folder_)) << "nothing is run where it is there";
}

TEST_F(BridgeNetfilterTest, WhereItCannotBeLoadedTheReasonIsNamed) {
  program("modprobe", "echo 'FATAL: Module br_netfilter not found' >&2; exit 1");
  const Result<void> loaded = load_bridge_netfilter(folder_);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(warning(config(""), loaded.error().text),
            "the kernel's module br_netfilter is not loaded (modprobe: FATAL: Module br_netfilter "
            "not found): a pod may get no answer from a Service whose pod is on its own node; "
            "`modprobe br_netfilter` on the host mends it");
  EXPECT_EQ(warning(config(R"("EnableNFTables":true,)")), "");
}

TEST_F(BridgeNetfilterTest, OfAFamilyThatIsUsedTheSettingIsNamed) {
  const NetworkConfig dual = config(R"("EnableIPv6":true,"IPv6Network":"fc00::/48",)");
  set("bridge-nf-call-iptables", "1");
  set("bridge-nf-call-ip6tables", "0");
  EXPECT_EQ(warning(config("")), "");
  EXPECT_EQ(warning(dual),
            "net.bridge.bridge-nf-call-ip6tables is 0: a pod may get no answer from a Service "
            "whose pod is on its own node; `sysctl net.bridge.bridge-nf-call-ip6tables=1` mends "
            "it");
  set("bridge-nf-call-iptables", "0");
  EXPECT_EQ(warning(dual), "several");
  EXPECT_TRUE(warning(config("")).starts_with("net.bridge.bridge-nf-call-iptables is 0"));
  EXPECT_EQ(*read_file(folder_ + "/bridge-nf-call-iptables"), "0\n") << "it is the host's";
}

}  // namespace
}  // namespace flannel
