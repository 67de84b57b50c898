#include "reconcile/attempt.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

namespace flannel {
namespace {

// By kind: how many kinds that others need come before it.
template <class... T>
constexpr std::array<std::size_t, sizeof...(T)> stages(KindList<T...>) {
  std::array<std::size_t, sizeof...(T)> out{};
  std::size_t kind = 0, stage = 0;
  ((out[kind++] = stage, stage += ProvidingKind<T> ? 1 : 0), ...);
  return out;
}
constexpr auto kStages = stages(Kinds());

// By kind: whether others need it.
template <class... T>
constexpr std::array<bool, sizeof...(T)> providing(KindList<T...>) {
  return {ProvidingKind<T>...};
}
constexpr auto kProviding = providing(Kinds());

class Attempt {
 public:
  Attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
          const PendingOps& pending, HoldDown::Clock::time_point now)
      : kernel_(kernel),
        ops_(ops),
        hold_down_(hold_down),
        pending_(pending),
        now_(now),
        outcomes_(ops.size()) {}

  // In stages: devices, what lies on them, routes. A stage begins when it is known what the one
  // before it could not make; where that makes nothing that others need, it goes on.
  std::vector<Outcome> run() {
    for (std::size_t first = 0; first < ops_.size();) {
      const std::size_t last = end_of_stage(first);
      apply(first, last);
      first = last;
    }
    return std::move(outcomes_);
  }

 private:
  std::size_t end_of_stage(std::size_t first) const {
    std::optional<std::size_t> stage;
    std::size_t i = first;
    for (; i < ops_.size(); ++i) {
      const std::size_t its = kStages[ops_[i].object.index()];
      if (ops_[i].verb == Op::Verb::remove) {
        continue;
      }
      if (its > stage.value_or(its)) {
        break;
      }
      if (kProviding[ops_[i].object.index()]) {
        stage = its;
      }
    }
    return i;
  }

  void apply(std::size_t first, std::size_t last) {
    std::vector<std::size_t> tried;
    for (std::size_t i = first; i < last; ++i) {
      if (const HoldDown::Entry* entry = hold_down_.find(ops_[i].object, now_)) {
        outcomes_[i].repairs = entry->repairs;
        outcomes_[i].result = {
            EBUSY, fmt::format("put back {} times, and changed again each time by another program",
                               entry->repairs)};
        note_missing(i, i);
      } else if (pending_.find(ops_[i].object) != nullptr) {
        outcomes_[i].result.pending = true;
        note_missing(i, i);
      } else if (const std::optional<std::size_t> cause = missing(ops_[i])) {
        outcomes_[i].waits_for = cause;
        outcomes_[i].result.error = ECANCELED;
        note_missing(i, *cause);
      } else {
        tried.push_back(i);
      }
    }
    if (tried.size() == last - first) {  // as almost always: nothing is copied
      take(kernel_.apply(ops_.subspan(first, last - first)), tried);
      return;
    }
    std::vector<Op> ops;
    ops.reserve(tried.size());
    for (const std::size_t i : tried) {
      ops.push_back(ops_[i]);
    }
    take(kernel_.apply(ops), tried);
  }

  void take(std::vector<OpResult> results, const std::vector<std::size_t>& tried) {
    for (std::size_t n = 0; n < tried.size(); ++n) {
      const std::size_t i = tried[n];
      outcomes_[i].result = std::move(results[n]);
      outcomes_[i].begun = outcomes_[i].result.pending;
      if (!outcomes_[i].result.ok()) {
        join_others_without_device(i);
        note_missing(i, i);
      }
    }
  }

  // All that finds its device gone, before the notification of that is there, fails for one reason.
  void join_others_without_device(std::size_t i) {
    const Dev dev = needs_of(ops_[i].object).dev;
    OpResult& result = outcomes_[i].result;
    if (result.error != ENODEV || dev.empty()) {
      return;
    }
    const auto [first, is_first] = without_device_.emplace(dev, i);
    if (!is_first) {
      outcomes_[i].waits_for = first->second;
      result = {.error = ECANCELED, .text = {}};
    }
  }

  // What the i-th op was to make is missing, by the op `cause`, which failed or is pending. What
  // could not be changed is still there, and what lies on it can be tried.
  void note_missing(std::size_t i, std::size_t cause) {
    if (ops_[i].verb != Op::Verb::add) {
      return;
    }
    const Reference what = provided_by(ops_[i].object);
    if (!what.dev.empty()) {
      devices_[what.dev] = cause;
    }
    if (what.nexthop != 0) {
      nexthops_[what.nexthop] = cause;
    }
  }

  // The op that failed or is pending, and without which `op` cannot succeed.
  std::optional<std::size_t> missing(const Op& op) const {
    if (op.verb == Op::Verb::remove || (devices_.empty() && nexthops_.empty())) {
      return std::nullopt;
    }
    const Reference needs = needs_of(op.object);
    if (const auto device = devices_.find(needs.dev); device != devices_.end()) {
      return device->second;
    }
    if (const auto nexthop = nexthops_.find(needs.nexthop); nexthop != nexthops_.end()) {
      return nexthop->second;
    }
    return std::nullopt;
  }

  Kernel& kernel_;
  const std::span<const Op> ops_;
  const HoldDown& hold_down_;
  const PendingOps& pending_;
  const HoldDown::Clock::time_point now_;
  std::vector<Outcome> outcomes_;
  // Those that are missing, and the op that was to make them.
  std::map<Dev, std::size_t> devices_;
  std::map<std::uint32_t, std::size_t> nexthops_;
  std::map<Dev, std::size_t> without_device_;  // the first op that did not find it
};

}  // namespace

std::vector<Outcome> attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
                             const PendingOps& pending, HoldDown::Clock::time_point now) {
  return Attempt(kernel, ops, hold_down, pending, now).run();
}

}  // namespace flannel
