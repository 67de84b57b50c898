// The CNI plugin as a real runtime calls it: libcni, with chains of plugins.
#include "test/cni/cni_fixture.h"

namespace flannel::cni {
namespace {

class CniClient : public CniFixture {
 protected:
  void SetUp() override {
    const ProcessOutput built = run_process(FLANNEL_SOURCE_DIR "/scripts/build-cni-client", {}, "");
    NEEDS(built.status == 0, "no libcni, which takes Go: " + built.err);
    client_ = built.out.substr(0, built.out.find('\n'));
    CniFixture::SetUp();
  }

  ProcessOutput run(const std::string& verb, const Pod& pod) const {
    return run_process(
        client_,
        {verb, folder + "/list", pod.id, pod.netns, pod.ifname, folder + "/bin", folder + "/cache"},
        "");
  }
  void write_list(std::string_view version) const {
    json::object flannel = flannel_config();
    flannel.erase("cniVersion");
    flannel.erase("name");
    write(folder + "/list",
          json::serialize(json::object{
              {"cniVersion", version},
              {"name", "cbr0"},
              {"plugins",
               json::array{flannel,
                           {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}}}}}));
  }

  std::string client_;
};

TEST_F(CniClient, DrivesEveryVerbOfEveryVersion) {
  for (const std::string_view version : kVersions) {
    SCOPED_TRACE(version);
    write_list(version);
    const Pod pod = make_pod("pod-" + std::string(version));
    const ProcessOutput added = run("add", pod);
    ASSERT_EQ(added.status, 0) << added.err;
    const json::value result = json::parse(added.out);
    EXPECT_EQ(std::string(result.at("cniVersion").get_string()), version);
    EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
    for (const auto& [verb, since] : std::initializer_list<std::pair<const char*, const char*>>{
             {"check", "0.4.0"}, {"status", "1.1.0"}, {"gc", "1.1.0"}}) {
      const ProcessOutput done = run(verb, pod);
      // libcni itself leaves out GC and STATUS before 1.1.0.
      EXPECT_EQ(done.status != 0, std::string(verb) == "check" && version < since)
          << verb << done.err;
    }
    EXPECT_EQ(run("add", pod).status, 1);
    EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
    for (int i = 0; i < 2; ++i) {
      const ProcessOutput removed = run("del", pod);
      EXPECT_EQ(removed.status, 0) << removed.err;
    }
    EXPECT_EQ(leftovers(), Names());
  }
}

TEST_F(CniClient, CollectsTheContainersItForgot) {
  write_list("1.1.0");
  const Pod stays = make_pod("stays"), goes = make_pod("goes");
  ASSERT_EQ(run("add", stays).status, 0);
  ASSERT_EQ(run("add", goes).status, 0);
  std::filesystem::remove_all(folder + "/cache");
  remove_netns(goes);
  const ProcessOutput collected = run("gc", stays);
  EXPECT_EQ(collected.status, 0) << collected.err;
  EXPECT_EQ(names_in(records()), Names{"stays"});
  EXPECT_TRUE(pings(stays.netns, "10.5.1.1"));
}

}  // namespace
}  // namespace flannel::cni
