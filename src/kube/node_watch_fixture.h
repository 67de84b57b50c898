// A NodeWatch of a fake API server that has Nodes.
#pragma once

#include <algorithm>
#include <climits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop_fixture.h"
#include "kube/node_annotations.h"
#include "kube/node_objects_fixture.h"
#include "kube/node_watch.h"
#include "test/support/fake_kube_api.h"
#include "test/support/troubles.h"

namespace flannel {

class NodeWatchTest : public LoopTest {
 protected:
  NodeWatchTest() {
    api.put(peer(1));
    api.put(peer(2));
  }

  static NodeObject peer(int number) {
    const std::string text = std::to_string(number);
    return {.name = "n" + text,
            .pod_cidrs = {fmt::format("10.{}.{}.0/24", 100 + number / 250, number % 250)},
            .annotations = annotations_of(
                fmt::format("198.18.{}.{}", number / 250, number % 250 + 1),
                fmt::format("02:00:5e:00:{:02x}:{:02x}", number / 256, number % 256))};
  }
  static Lease lease(const NodeObject& node) {
    return {subnets_of(node).value(), attrs_of(node.annotations).value(), std::nullopt};
  }

  LeaseUpdate next() { return run(watch.next(kNever)).value(); }
  std::optional<LeaseUpdate> next_within(std::chrono::milliseconds time) {
    return run(watch.next(std::chrono::steady_clock::now() + time));
  }
  // Follows the watch, which has no news, until `done`.
  template <class Done>
  void follow_until(const Done& done) {
    while (!done()) {
      EXPECT_EQ(next_within(std::chrono::milliseconds(5)), std::nullopt);
    }
  }
  // Since the last look.
  std::vector<std::string> requests_with(std::string_view text) {
    std::vector<std::string> found = api.take_requests();
    std::erase_if(found, [&](const std::string& each) { return !each.contains(text); });
    return found;
  }
  // Requests with `text` are answered with `reply`, `times` times.
  void answer(std::string text, const FakeKubeApi::Reply& reply, int times = INT_MAX) {
    api.instead = [text = std::move(text), reply,
                   times](const FakeKubeApi::Request& request) mutable {
      const bool is_meant =
          fmt::format("{} {}", request.method(), request.path()).contains(text) && times > 0;
      times -= is_meant ? 1 : 0;
      return is_meant ? std::optional(reply) : std::nullopt;
    };
  }

  FakeKubeApi api{loop};
  std::shared_ptr<NodeApi> nodes =
      std::make_shared<NodeApi>(api.client(loop.get_executor()), kPrefix);
  OwnNode own{"own"};
  std::string seen;
  std::vector<std::string> troubles;
  NodeWatch::Timing timing;
  NodeWatch watch = open();

  NodeWatch open() {
    return {nodes, own, seen, [this](const std::string& text) { note_trouble(troubles, text); },
            timing};
  }
};

}  // namespace flannel
