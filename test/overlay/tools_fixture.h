// A dual-stack lab, once for each tool that a node's firewall rules may be made with.
#pragma once

#include "base/directory_fixture.h"
#include "test/overlay/overlay_fixture.h"

namespace flannel {

struct Tool {
  const char* name;
  bool nftables = false;
  const char* iptables = nullptr;  // the kind of iptables; nothing: as the host has it

  // What a failed test is called by.
  friend void PrintTo(const Tool& tool, std::ostream* out) { *out << tool.name; }
};

class ToolsFixture : public OverlayFixture, public testing::WithParamInterface<Tool> {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ::setenv("XTABLES_LOCKFILE", directory_.file("lock").c_str(), 1);
    if (const char* kind = GetParam().iptables) {
      ASSERT_NO_FATAL_FAILURE(use_iptables(kind));
      if (IsSkipped()) {
        return;
      }
    }
    Arguments options{"--dual-stack", "--store", store_};
    if (GetParam().nftables) {
      options.emplace_back("--nftables");
    }
    ASSERT_NO_FATAL_FAILURE(make_lab(options));
    ASSERT_TRUE(eventually([&] { return is_settled(); })) << lab.page(1, "/status");
  }
  void TearDown() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("XTABLES_LOCKFILE");
  }

  bool is_settled() const {
    return lab.page(1, "/readyz") == "flanneld is ready\n" && is_as_planned(1);
  }
  // Of the lab's nodes and of the host outside.
  static IpAddr underlay(unsigned number, Family family) {
    return *IpAddr::parse(
        fmt::format("{}{}", family == Family::v4 ? "198.18.0." : "fd99::", number));
  }
  static IpAddr node(unsigned i, Family family) { return underlay(10 + i, family); }
  static IpAddr outside(Family family) { return underlay(100, family); }
  void run_on(const std::string& place, const std::string& commands) const {
    const ProgramResult result = lab.on(place, {"sh", "-ec", commands});
    EXPECT_EQ(result.status, 0) << commands << ": " << result.output;
  }

  std::string store_ = "local";  // the lab's
  const TestDirectory directory_;

 private:
  void use_iptables(const std::string& kind) {
    for (const std::string name : {"iptables", "ip6tables"}) {
      for (const std::string suffix : {"", "-save", "-restore"}) {
        const std::string program = fmt::format("{}-{}{}", name, kind, suffix);
        NEEDS(find_program(program, path_), "no " + program);
        std::filesystem::create_symlink(*find_program(program, path_),
                                        directory_.file(name + suffix));
      }
    }
    ::setenv("PATH", (directory_.path().string() + ":" + path_).c_str(), 1);
  }

  const std::string path_ = std::getenv("PATH");
};

inline const auto kTools = testing::Values(Tool{"Nftables", true}, Tool{"Iptables"},
                                           Tool{"LegacyIptables", false, "legacy"});
inline std::string name_of(const testing::TestParamInfo<Tool>& info) {
  return info.param.name;
}

}  // namespace flannel
