// Daemons of several networks in one network namespace: each has its rules, and none undoes
// another's.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "firewall/make_firewall_part.h"
#include "kernel/host_kernel.h"
#include "reconcile/reconciler.h"
#include "test/firewall/firewall_part_fixture.h"

namespace flannel {
namespace {

// What of a daemon has to do with rules.
class Node {
 public:
  Node(FirewallTool tool, const FirewallNetwork& network, bool rules = true) {
    const FirewallOptions options{
        .tool = tool, .masquerade = rules, .forward_rules = rules, .excluded = {}};
    std::vector<std::unique_ptr<Part>> parts;
    parts.push_back(make_firewall_part(std::chrono::milliseconds(200)));
    kernel_.emplace(std::move(parts));
    const auto plan = [network, options](const Snapshot& now) {
      NetState want;
      want.of<Ruleset>() = plan_firewall(std::array{network}, options, now.rules_suffix);
      return want;
    };
    Scope scope;
    scope.networks = {network.network};
    reconciler_.emplace(io_.get_executor(), *kernel_, scope, Reconciler::Planner{.plan = plan},
                        Reconciler::Timing{});
    asio::co_spawn(io_, reconciler_->run(), asio::detached);
    asio::co_spawn(io_, reconciler_->follow_kernel(), asio::detached);
  }

  void run() {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(10));
  }
  bool is_well() const {
    const Report& report = reconciler_->report();
    const Table<Ruleset>& want = reconciler_->wanted().of<Ruleset>();
    return report.passes > 0 && total(report.pending) == 0 && report.problems.empty() &&
           !want.empty() && reconciler_->mirror().ours.of<Ruleset>() == want;
  }
  std::uint64_t passes() const { return reconciler_->report().passes; }
  std::uint64_t changes() const { return reconciler_->report().ops; }
  std::string trouble() const {
    const auto& problems = reconciler_->report().problems;
    return problems.empty() ? "" : problems.front().text;
  }
  const std::string& suffix() const { return reconciler_->mirror().rules_suffix; }

 private:
  asio::io_context io_;
  std::optional<HostKernel> kernel_;
  std::optional<Reconciler> reconciler_;
};

const FirewallNetwork kOne = kNetworkV4,
                      kOther = {*Prefix::parse("10.6.0.0/16"), *Prefix::parse("10.6.1.0/24")};

class TwoNetworksTest : public FirewallPartTest {
 protected:
  template <class... Nodes>
  static bool become(const std::function<bool()>& condition, Nodes&... nodes) {
    for (int i = 0; i < 1'000 && !condition(); ++i) {
      (nodes.run(), ...);
    }
    return condition();
  }
  template <class... Nodes>
  static bool become_well(Nodes&... nodes) {
    return become([&] { return (nodes.is_well() && ...); }, nodes...);
  }
  // Whether nothing more is changed, for longer than anything takes that is tried again.
  template <class... Nodes>
  static bool stay(Nodes&... nodes) {
    const std::string before = rules();
    const std::uint64_t changes = (nodes.changes() + ...);
    for (int i = 0; i < 60; ++i) {
      (nodes.run(), ...);
    }
    return rules() == before && (nodes.changes() + ...) == changes && (nodes.is_well() && ...);
  }
  static std::string rules() {
    return shell("nft -s list ruleset; iptables-legacy-save | sed '/^[#:]/d'");
  }
  static bool are_both_there() {
    const std::string all = rules();
    return all.contains("10.5.0.0/16") && all.contains("10.6.0.0/16");
  }
};

TEST_F(TwoNetworksTest, EachHasItsRulesAndNoneUndoesTheOthers) {
  const std::pair<FirewallTool, std::string> ways[] = {{FirewallTool::nftables, "nft"},
                                                       {FirewallTool::iptables, "nft"},
                                                       {FirewallTool::iptables, "legacy"}};
  for (const auto& [tool, kind] : ways) {
    use(kind);
    std::optional<Node> one(std::in_place, tool, kOne);
    ASSERT_TRUE(become_well(*one)) << one->trouble();
    std::optional<Node> other(std::in_place, tool, kOther);
    ASSERT_TRUE(become_well(*one, *other)) << one->trouble() << other->trouble();
    EXPECT_EQ(one->suffix(), "");
    EXPECT_EQ(other->suffix().size(), 7U);
    EXPECT_TRUE(stay(*one, *other)) << rules();
    EXPECT_TRUE(are_both_there()) << rules();

    shell("nft flush ruleset; iptables -t nat -F; iptables -F");
    EXPECT_TRUE(become(are_both_there, *one, *other)) << rules();
    EXPECT_TRUE(become_well(*one, *other)) << one->trouble() << other->trouble();
    EXPECT_TRUE(stay(*one, *other)) << rules();

    const std::string healed = rules();
    one.reset();
    other.reset();
    other.emplace(tool, kOther);  // before the one that has the usual names
    ASSERT_TRUE(become_well(*other)) << other->trouble();
    one.emplace(tool, kOne);
    ASSERT_TRUE(become_well(*one, *other)) << one->trouble();
    EXPECT_EQ(one->changes() + other->changes(), 0U);
    EXPECT_EQ(rules(), healed);
    one.reset();
    other.reset();
    shell("nft flush ruleset");
  }
}

// The older kind is looked at again and again, also while the first daemon is away.
TEST_F(TwoNetworksTest, ADaemonWithoutRulesLeavesThoseOfAnotherThatStartsAgain) {
  use("legacy");
  std::optional<Node> first(std::in_place, FirewallTool::iptables, kOne);
  ASSERT_TRUE(become_well(*first)) << first->trouble();
  const std::string before = rules();
  Node without(FirewallTool::iptables, kOther, false);
  const auto looks = [&without](std::uint64_t more) {
    return [&without, most = without.passes() + more] { return without.passes() >= most; };
  };
  ASSERT_TRUE(become(looks(1), *first, without));
  first.reset();
  ASSERT_TRUE(become(looks(2), without));
  EXPECT_EQ(without.changes(), 0U);
  EXPECT_EQ(rules(), before);
}

TEST_F(TwoNetworksTest, OfOneNetworkTheSecondWaitsForTheFirst) {
  std::optional<Node> first(std::in_place, FirewallTool::iptables, kOne);
  ASSERT_TRUE(become_well(*first)) << first->trouble();
  Node second(FirewallTool::iptables, kOne);
  EXPECT_TRUE(become([&] { return second.trouble().contains("for this network too: end one"); },
                     *first, second))
      << second.trouble();
  EXPECT_TRUE(stay(*first));
  first.reset();
  EXPECT_TRUE(become_well(second)) << second.trouble();
  EXPECT_EQ(second.suffix(), "");
  EXPECT_EQ(second.changes(), 0U);
}

}  // namespace
}  // namespace flannel
