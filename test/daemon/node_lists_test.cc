// A daemon whose store is the Nodes of Kubernetes, and lists of these that lack some.

#include "base/file.h"
#include "kube/kube_store.h"
#include "test/daemon/daemon_fixture.h"
#include "test/support/fake_kube_api.h"
#include "test/support/lease_nodes.h"

namespace flannel {
namespace {

class NodeLists : public DaemonFixture<>, public testing::WithParamInterface<std::size_t> {
 protected:
  void SetUp() override {
    timing.departures.unconfirmed = std::chrono::milliseconds(500);
    start();
    ASSERT_TRUE(run_until([&] { return is_as_planned() && peers() == 3; })) << state().reason;
  }

  std::unique_ptr<LeaseStore> open_store(asio::io_context& io) override {
    EXPECT_TRUE(replace_file(directory.file("net-conf.json"), *store.config, 0644));
    api.emplace(io);
    api->put({.name = "a-own", .pod_cidrs = {"10.5.200.0/24"}});
    for (unsigned i = 1; i <= 3; ++i) {
      const std::string name = fmt::format("n{}", i);
      api->put(node_of_lease(name, peer(i, fmt::format("198.18.1.{}", i))));
    }
    return make_kube_store(
        api->client(io.get_executor()),
        {.net_config_path = directory.file("net-conf.json"), .node_name = "a-own"});
  }

  std::size_t peers() { return state().peers() == nullptr ? 0 : state().peers()->usable_count(); }
  // The server has no history, and its next lists have the first Nodes alone, `times` times.
  void lack_nodes(unsigned times) {
    api->instead = [this, times](const FakeKubeApi::Request& request) -> std::optional<Reply> {
      if (!FakeKubeApi::is_list(request)) {
        watches_ += request.path().contains("watch=true") ? 1 : 0;
        return std::nullopt;
      }
      return ++lists <= times ? std::optional(FakeKubeApi::list_reply(api->list_body(GetParam())))
                              : std::nullopt;
    };
    ++api->version;
    api->compact();
    api->end_watches();
  }
  // As many lists were taken in, and the watch goes on behind the last one.
  bool has_listed(unsigned times) { return lists == times && watches_ > times; }

  using Reply = FakeKubeApi::Reply;
  std::optional<FakeKubeApi> api;
  unsigned lists = 0;

 private:
  unsigned watches_ = 0;
};

TEST_P(NodeLists, OneThatIsSuddenlyEmptyRemovesNothing) {
  const std::size_t routes = kernel.state.of<Route>().size();
  lack_nodes(1);
  ASSERT_TRUE(run_until([&] { return has_listed(1); }));
  EXPECT_EQ(peers(), 3U);
  ASSERT_TRUE(run_until([&] { return has_listed(2) && is_as_planned(); }));
  EXPECT_EQ(peers(), 3U);
  EXPECT_EQ(kernel.state.of<Route>().size(), routes);
  EXPECT_TRUE(state().own->trouble().empty()) << state().own->trouble();
}

TEST_P(NodeLists, ASecondOneConfirmsIt) {
  lack_nodes(2);
  ASSERT_TRUE(run_until([&] { return peers() == 0 && is_as_planned(); }));
  EXPECT_EQ(lists, 2U);
}

// Of no Node at all, and of our own alone.
INSTANTIATE_TEST_SUITE_P(Nodes, NodeLists, testing::Values(0U, 1U));

}  // namespace
}  // namespace flannel
