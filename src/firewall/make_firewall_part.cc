#include "firewall/make_firewall_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "firewall/firewall_part.h"
#include "kernel/device_claim.h"

namespace flannel {
namespace {

class MissingPart : public Part {
 public:
  explicit MissingPart(OpResult answer) : answer_(std::move(answer)) {}

  KindSet kinds() const override { return flannel::kinds<Ruleset>(); }
  void dump(const Scope&, Snapshot& snapshot) override { snapshot.ours.of<Ruleset>() = {}; }
  std::vector<OpResult> apply(std::span<const Op> ops) override {
    return std::vector<OpResult>(ops.size(), answer_);
  }

 private:
  const OpResult answer_;
};

// The names of our rules are the Go flannel's, so that only one daemon of a network namespace can
// have rules there: which one, a claim tells. It lasts as long as there are rules, or are being
// made.
class ClaimedPart : public FirewallPart {
 public:
  using FirewallPart::FirewallPart;

  void dump(const Scope& scope, Snapshot& snapshot) override {
    network_ = scope.networks.empty() ? "" : scope.networks.front().to_text();
    snapshot.ours.of<Ruleset>() = {};
    if (!hold()) {
      return;
    }
    FirewallPart::dump(scope, snapshot);
    if (snapshot.ours.of<Ruleset>().empty() && !is_busy()) {
      (void)claim_.hold({}, network_);  // to claim nothing never fails
    }
  }

  std::vector<OpResult> apply(std::span<const Op> ops) override {
    if (hold()) {
      return FirewallPart::apply(ops);
    }
    return std::vector<OpResult>(
        ops.size(), {.error = EBUSY,
                     .text = "another flanneld on this node has its rules there: give one of them "
                             "--iptables-forward-rules=false, and no --ip-masq"});
  }

  void changes(const Scope& scope, Changes& changes) override {
    FirewallPart::changes(scope, changes);
    const auto is_about_rules = [](const Change& change) {
      return std::holds_alternative<Ruleset>(change.object);
    };
    // Where there were none nobody needed the claim; what comes or goes now is ours to look at,
    // unless another daemon made it.
    if (std::ranges::any_of(changes.ours, is_about_rules) && !hold()) {
      std::erase_if(changes.ours, is_about_rules);
    }
  }

 private:
  bool hold() { return claim_.hold({kRules}, network_).has_value(); }

  inline static const Dev kRules = "flannel/rules";  // no device has such a name
  DeviceClaim claim_;
  std::string network_;
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
