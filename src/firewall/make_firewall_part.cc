#include "firewall/make_firewall_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "firewall/firewall_part.h"
#include "firewall/hash_name.h"
#include "kernel/device_claim.h"

namespace flannel {
namespace {

class MissingPart : public Part {
 public:
  explicit MissingPart(OpResult answer) : answer_(std::move(answer)) {}

  KindSet kinds() const override { return flannel::kinds<Ruleset>(); }
  void dump(const Scope&, KindSet, Snapshot& snapshot) override {
    snapshot.ours.of<Ruleset>() = {};
  }
  std::vector<OpResult> apply(std::span<const Op> ops) override {
    return std::vector<OpResult>(ops.size(), answer_);
  }

 private:
  const OpResult answer_;
};

// Daemons of other networks in this network namespace have rules by the same names as the Go
// flannel's or by names of their own: which one has the former, a claim tells. It lasts as long as
// there are rules, or are being made.
class ClaimedPart : public FirewallPart {
 public:
  using FirewallPart::FirewallPart;

  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override {
    network_ = scope.networks.empty() ? "" : scope.networks.front().to_text();
    snapshot.ours.of<Ruleset>() = {};
    const bool held = hold().has_value();
    snapshot.rules_suffix = suffix();
    if (!held) {
      return;
    }
    FirewallPart::dump(scope, kinds, snapshot);
    if (snapshot.ours.of<Ruleset>().empty() && !is_busy()) {
      (void)claim_.hold({}, network_);  // to claim nothing never fails
      chosen_ = false;
    }
  }

  std::vector<OpResult> apply(std::span<const Op> ops) override {
    if (const Result<void> held = hold(); !held) {
      return refuse(ops, held.error().text +
                             ", or give one of them --iptables-forward-rules=false, and no "
                             "--ip-masq");
    }
    const std::vector<Ruleset::Key> ours = our_keys();
    const bool by_our_names = std::ranges::all_of(ops, [&](const Op& op) {
      return std::ranges::find(ours, std::get<Ruleset>(op.object).key) != ours.end();
    });
    return by_our_names ? FirewallPart::apply(ops) : refuse(ops, "has another name now");
  }

  void changes(const Scope& scope, Changes& changes) override {
    FirewallPart::changes(scope, changes);
    const auto is_about_rules = [](const Change& change) {
      return std::holds_alternative<Ruleset>(change.object);
    };
    // Where there were none nobody needed the claim; what comes or goes now is ours to look at,
    // unless another daemon made it.
    const bool any = std::ranges::any_of(changes.ours, is_about_rules);
    const bool ours = !any || hold().has_value();
    if (!ours || renamed_) {
      std::erase_if(changes.ours, is_about_rules);
    }
    if (std::exchange(renamed_, false)) {
      changes.dump_needed |= kinds();
    }
  }

 private:
  static std::vector<OpResult> refuse(std::span<const Op> ops, const std::string& why) {
    return std::vector<OpResult>(ops.size(), {.error = EBUSY, .text = why});
  }

  // Chooses names where that is still to be done: the usual ones, where no other daemon has them or
  // had them since this one runs, whose rules are to stay while it starts again; but those of our
  // own where there are rules by them, so that of two daemons that start again none takes the
  // other's.
  Result<void> hold() {
    const std::string own = hash_name("-", network_, kSuffix), before = suffix();
    if (!chosen_) {
      set_suffix(own);
      Snapshot there;
      FirewallPart::dump({}, kinds(), there);
      set_suffix(usual_are_others_ || !there.ours.of<Ruleset>().empty() ? own : "");
    }
    Result<void> held = claim_.hold(claims(own), network_);
    if (!held && !chosen_ && suffix().empty()) {
      set_suffix(own);
      held = claim_.hold(claims(own), network_);
      usual_are_others_ = held.has_value();  // else it is another of this network that has both
    }
    chosen_ = held.has_value();
    if (suffix() != before) {
      renamed_ = true;
      wake();
    }
    return held;
  }
  // Our own name, which tells daemons of one network from each other, and perhaps the usual one.
  // No device has such names.
  std::vector<Dev> claims(std::string_view own) const {
    std::vector<Dev> names = {Dev("flannel/" + std::string(own.substr(1)))};
    if (suffix().empty()) {
      names.emplace_back("flannel/rules");
    }
    return names;
  }

  static constexpr std::size_t kSuffix = 7;  // a dash and 24 bits
  DeviceClaim claim_;
  std::string network_;
  bool usual_are_others_ = false;
  bool chosen_ = false;   // the names, which are claimed
  bool renamed_ = false;  // since changes() last said so
};

}  // namespace

std::unique_ptr<Part> make_firewall_part(std::chrono::milliseconds resync) {
  try {
    return std::make_unique<ClaimedPart>(resync);
  } catch (const std::system_error& error) {
    return std::make_unique<MissingPart>(OpResult{
        .error = error.code().value(),
        .text = fmt::format("{}: the kernel needs the module nfnetlink (CONFIG_NETFILTER_NETLINK)",
                            error.what())});
  }
}

}  // namespace flannel
