// What tests of FirewallPart share: a host with iptables of either kind, and the reconciler's way
// to use a part.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "firewall/firewall_part.h"
#include "test/firewall/firewall_fixture.h"
#include "test/support/listed_rules.h"

namespace flannel {

class FirewallPartTest : public FirewallTest {
 protected:
  FirewallPartTest() {
    ::setenv("XTABLES_LOCKFILE", directory_.file("lock").c_str(), 1);
    ::setenv("PATH", fmt::format("{}:{}", directory_.path().string(), kPrograms).c_str(), 1);
    use("nft");
    part_.emplace(kResync);
  }

  // The kind of iptables that the host has.
  void use(const std::string& kind) {
    for (const std::string name : {"iptables", "ip6tables"}) {
      for (const std::string suffix : {"", "-save", "-restore"}) {
        replace(name + suffix,
                *find_program(fmt::format("{}-{}{}", name, kind, suffix), kPrograms));
      }
    }
  }
  void replace(const std::string& program, const std::string& by) {
    std::filesystem::remove(directory_.file(program));
    std::filesystem::create_symlink(by, directory_.file(program));
  }

  static NetState planned(FirewallTool tool, const FirewallNetwork& v4 = kNetworkV4) {
    NetState state;
    state.of<Ruleset>() = plan_firewall(std::array{v4, kNetworkV6}, options_of(tool));
    return state;
  }
  NetState dump() {
    Snapshot snapshot;
    part_->dump({}, part_->kinds(), snapshot);
    return snapshot.ours;
  }
  // The same with what the programs say of iptables.
  NetState listed() {
    NetState state;
    state.of<Ruleset>() = listed_rules(dump().of<Ruleset>());
    return state;
  }
  Changes changes() {
    Changes out;
    part_->changes({}, out);
    return out;
  }
  bool is_readable(int milliseconds) {
    pollfd ready{part_->notify_fd(), POLLIN, 0};
    return ::poll(&ready, 1, milliseconds) == 1;
  }
  // As the reconciler: puts, then removals; what is pending is followed to its end. What failed.
  std::string apply(const NetState& want) {
    const NetState have = dump();
    std::vector<Op> ops;
    for (const Ruleset& row : want.of<Ruleset>()) {
      const Ruleset* there = have.of<Ruleset>().find(row.key);
      if (there == nullptr || *there != row) {
        ops.push_back({there == nullptr ? Op::Verb::add : Op::Verb::change, row});
      }
    }
    for (const Ruleset& row : have.of<Ruleset>()) {
      if (want.of<Ruleset>().find(row.key) == nullptr) {
        ops.push_back({Op::Verb::remove, row});
      }
    }
    return apply(ops);
  }
  std::string apply(const std::vector<Op>& ops) {
    std::string failures;
    std::size_t pending = 0;
    written_ = 0;
    for (const OpResult& result : part_->apply(ops)) {
      pending += result.pending ? 1 : 0;
      written_ += result.ok() ? 1 : 0;
      failures += result.pending || result.ok() ? "" : result.text + "\n";
    }
    while (pending > 0 && is_readable(30'000)) {
      for (const Changes::Answer& answer : changes().answers) {
        --pending;
        written_ += answer.result.ok() && !answer.result.untouched ? 1 : 0;
        failures += answer.result.ok() ? "" : answer.result.text + "\n";
      }
    }
    EXPECT_EQ(pending, 0U);
    return failures;
  }
  // What is told, with the last word on each object.
  std::string told() {
    std::map<Ruleset::Key, std::string> last;
    while (is_readable(100)) {
      const Changes news = changes();
      EXPECT_TRUE(news.dump_needed.none());
      for (const Change& change : news.ours) {
        const Ruleset& row = std::get<Ruleset>(change.object);
        last[row.key] = change.removed ? "gone" : row.lines.front();
      }
    }
    std::string out;
    for (const auto& [key, text] : last) {
      out += fmt::format("{} {} {}: {}\n", to_text(key.tool), to_text(key.family), key.table, text);
    }
    return out;
  }
  void start_again() { part_.emplace(kResync); }

  static constexpr std::chrono::milliseconds kResync{5000};

  TestDirectory directory_;
  std::optional<FirewallPart> part_;
  std::size_t written_ = 0;  // by the last apply()
};

}  // namespace flannel
