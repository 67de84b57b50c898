#include "reconcile/attempt.h"

#include <algorithm>
#include <cerrno>
#include <map>

namespace flannel {
namespace {

// What an object cannot be there without.
struct Needs {
  Dev dev;
  std::uint32_t nexthop = 0;

  explicit Needs(const Object& object) {
    std::visit([this](const auto& row) { set(row); }, object);
  }

 private:
  void set(const Link&) {}  // on devices of others alone
  void set(const Address& row) { dev = row.key.dev; }
  void set(const Neighbour& row) { dev = row.key.dev; }
  void set(const FdbEntry& row) { dev = row.key.dev; }
  void set(const Nexthop& row) { dev = row.dev; }
  void set(const Route& row) {
    dev = row.dev;
    nexthop = row.nexthop;
  }
};

class Attempt {
 public:
  Attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
          HoldDown::Clock::time_point now)
      : kernel_(kernel), ops_(ops), hold_down_(hold_down), now_(now), outcomes_(ops.size()) {}

  // In stages: devices, what lies on them, routes and removals. A stage begins when it is known
  // what the one before it could not make.
  std::vector<Outcome> run() {
    const auto links_end = std::find_if_not(ops_.begin(), ops_.end(), [](const Op& op) {
      return std::holds_alternative<Link>(op.object);
    });
    const auto nexthops_end = std::find_if(links_end, ops_.end(), [](const Op& op) {
      return op.verb == Op::Verb::remove || std::holds_alternative<Route>(op.object);
    });
    apply(0, static_cast<std::size_t>(links_end - ops_.begin()));
    apply(static_cast<std::size_t>(links_end - ops_.begin()),
          static_cast<std::size_t>(nexthops_end - ops_.begin()));
    apply(static_cast<std::size_t>(nexthops_end - ops_.begin()), ops_.size());
    return std::move(outcomes_);
  }

 private:
  void apply(std::size_t first, std::size_t last) {
    std::vector<std::size_t> tried;
    for (std::size_t i = first; i < last; ++i) {
      if (const HoldDown::Entry* entry = hold_down_.find(ops_[i].object, now_)) {
        outcomes_[i].repairs = entry->repairs;
        outcomes_[i].result = {
            EBUSY, fmt::format("put back {} times, and changed again each time by another program",
                               entry->repairs)};
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
      if (!outcomes_[i].result.ok()) {
        note_missing(i, i);
      }
    }
  }

  // What the i-th op was to make is missing, by the failure of the op `cause`. What could not be
  // changed is still there, and what lies on it can be tried.
  void note_missing(std::size_t i, std::size_t cause) {
    if (ops_[i].verb != Op::Verb::add) {
      return;
    }
    if (const Link* link = std::get_if<Link>(&ops_[i].object)) {
      devices_[link->key.name] = cause;
    } else if (const Nexthop* nexthop = std::get_if<Nexthop>(&ops_[i].object)) {
      nexthops_[nexthop->key.id] = cause;
    }
  }

  // The op that failed and without which `op` cannot succeed.
  std::optional<std::size_t> missing(const Op& op) const {
    if (op.verb == Op::Verb::remove || (devices_.empty() && nexthops_.empty())) {
      return std::nullopt;
    }
    const Needs needs(op.object);
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
  const HoldDown::Clock::time_point now_;
  std::vector<Outcome> outcomes_;
  // Those that are missing, and the op that failed.
  std::map<Dev, std::size_t> devices_;
  std::map<std::uint32_t, std::size_t> nexthops_;
};

}  // namespace

std::vector<Outcome> attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
                             HoldDown::Clock::time_point now) {
  return Attempt(kernel, ops, hold_down, now).run();
}

}  // namespace flannel
