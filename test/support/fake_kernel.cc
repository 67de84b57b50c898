#include "test/support/fake_kernel.h"

#include <linux/rtnetlink.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace flannel {
namespace {

// Under it a device has no IPv6, and with it those settings.
constexpr std::uint32_t kLeastMtuV6 = 1280;

OpResult failure(int error) {
  return {error, std::strerror(error)};
}

OpResult no_device(const Dev& name) {
  return {ENODEV, fmt::format("there is no device {}", name.text())};
}

// The device a route leaves by.
Dev device_of(const Route& route, const NetState& state) {
  const Nexthop* nexthop = state.of<Nexthop>().find({route.nexthop});
  return nexthop != nullptr ? nexthop->dev : route.dev;
}

}  // namespace

// One op on the state, as the real kernel would do it.
struct FakeKernel::Applier {
  FakeKernel& kernel;
  const Op& op;

  bool removes() const { return op.verb == Op::Verb::remove; }

  template <class T>
  OpResult put_or_remove(Table<T>& table, const T& row, const std::optional<Dev>& dev) {
    if (removes()) {
      if (table.remove(row.key)) {
        kernel.notify({true, row});
      }
      return {};
    }
    if (dev && !kernel.has_device(*dev)) {
      return no_device(*dev);
    }
    table.put(row);
    kernel.notify({false, row});
    return {};
  }

  OpResult operator()(const Link& link) {
    NetState& state = kernel.state;
    const Link* old = state.of<Link>().find(link.key);
    if (removes()) {
      if (old != nullptr) {
        kernel.remove_from(link.key.name, true);
        const Link gone = *old;
        state.of<Link>().remove(link.key);
        kernel.notify({true, gone});
      }
      return {};
    }
    const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind);
    if (old != nullptr && op.verb == Op::Verb::add) {
      const std::string reason = explain_foreign(*old);
      return reason.empty() ? failure(EEXIST) : OpResult{EEXIST, reason};
    }
    if (old == nullptr && op.verb != Op::Verb::add) {
      return no_device(link.key.name);
    }
    if (vxlan != nullptr && !kernel.has_device(vxlan->lower)) {
      return no_device(vxlan->lower);
    }
    if (old != nullptr && old->up && !link.up) {
      kernel.remove_from(link.key.name, false);
    }
    if (old != nullptr && old->mac != link.mac) {
      state.of<Neighbour>().remove_if(
          [&](const Neighbour& row) { return row.key.dev == link.key.name; });
    }
    if (old == nullptr || (old->mtu < kLeastMtuV6 && link.mtu >= kLeastMtuV6)) {
      state.of<Sysctl>().put({{link.key.name, std::string(kAcceptRa)}, "1"});
    }
    state.of<Link>().put(link);
    kernel.notify({false, link});
    return {};
  }

  OpResult operator()(const Sysctl& row) {  // of which nobody is told
    if (!kernel.has_device(row.key.dev)) {
      return no_device(row.key.dev);
    }
    kernel.state.of<Sysctl>().put(row);
    return {};
  }

  OpResult operator()(const Ruleset& row) {
    return put_or_remove(kernel.state.of<Ruleset>(), row, std::nullopt);
  }

  OpResult operator()(const Address& row) {
    const bool was_there = kernel.state.of<Address>().find(row.key) != nullptr;
    OpResult result = put_or_remove(kernel.state.of<Address>(), row, row.key.dev);
    const bool last = std::none_of(kernel.state.of<Address>().begin(),
                                   kernel.state.of<Address>().end(), [&](const Address& other) {
                                     return other.key.dev == row.key.dev &&
                                            other.key.prefix.family() == Family::v4;
                                   });
    if (removes() && was_there && last) {
      kernel.state.of<Route>().remove_if([&](const Route& route) {
        return device_of(route, kernel.state) == row.key.dev &&
               route.key.dst.family() == Family::v4;
      });
    }
    return result;
  }
  OpResult operator()(const Neighbour& row) {
    return put_or_remove(kernel.state.of<Neighbour>(), row, row.key.dev);
  }
  OpResult operator()(const FdbEntry& row) {
    return put_or_remove(kernel.state.of<FdbEntry>(), row, row.key.dev);
  }

  OpResult operator()(const Nexthop& row) {
    const Link* link = kernel.state.of<Link>().find({row.dev});
    if (!removes() && link != nullptr && !link->up) {
      return failure(ENETDOWN);
    }
    if (op.verb == Op::Verb::add && kernel.state.of<Nexthop>().find(row.key) != nullptr) {
      return failure(EEXIST);
    }
    if (removes()) {  // silently, with its routes
      kernel.state.of<Route>().remove_if(
          [&](const Route& route) { return route.nexthop == row.key.id; });
    }
    return put_or_remove(kernel.state.of<Nexthop>(), row, row.dev);
  }

  OpResult operator()(const Route& row) {
    if (!removes() && row.nexthop != 0 &&
        kernel.state.of<Nexthop>().find({row.nexthop}) == nullptr) {
      return failure(EINVAL);
    }
    const Route* there = kernel.state.of<Route>().find(row.key);
    if (op.verb == Op::Verb::add && there != nullptr && !gives_way(there->protocol)) {
      return {EEXIST, to_text(Object(*there)).substr(6) + " is in the way"};
    }
    const Dev dev = removes() ? row.dev : device_of(row, kernel.state);
    const Link* link = kernel.state.of<Link>().find({dev});
    if (!removes() && link != nullptr && !link->up) {
      return failure(ENETDOWN);
    }
    return put_or_remove(kernel.state.of<Route>(), row,
                         row.type == RTN_UNICAST ? std::optional(dev) : std::nullopt);
  }
};

FakeKernel::FakeKernel() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

bool FakeKernel::has_device(const Dev& name) const {
  return state.of<Link>().find({name}) != nullptr ||
         std::any_of(host_view.interfaces.begin(), host_view.interfaces.end(),
                     [&](const HostInterface& interface) { return interface.name == name; });
}

// What goes with a link: when it is deleted, everything; when it goes down, its addresses stay.
void FakeKernel::remove_from(const Dev& dev, bool addresses) {
  state.of<Route>().remove_if([&](const Route& route) { return device_of(route, state) == dev; });
  state.of<Nexthop>().remove_if([&](const Nexthop& nexthop) { return nexthop.dev == dev; });
  state.of<Neighbour>().remove_if([&](const Neighbour& row) { return row.key.dev == dev; });
  state.of<FdbEntry>().remove_if(
      [&](const FdbEntry& row) { return addresses && row.key.dev == dev; });
  state.of<Address>().remove_if(
      [&](const Address& row) { return addresses && row.key.dev == dev; });
  state.of<Sysctl>().remove_if([&](const Sysctl& row) { return addresses && row.key.dev == dev; });
}

// As HostKernel's parts: settings, and of all the rest devices alone or all.
void FakeKernel::dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) {
  Snapshot now = listed(scope);
  now.ours.of<Sysctl>().remove_if(
      [&](const Sysctl& row) { return now.ours.of<Link>().find({row.key.dev}) == nullptr; });
  listed_kinds |= kinds;
  const KindSet rest = kinds & ~flannel::kinds<Sysctl>();
  dumps += rest.any() ? 1 : 0;
  if (rest.any() && rest != flannel::kinds<Link>()) {
    kinds |= ~flannel::kinds<Sysctl>();
  }
  for_each_table(
      [&]<class T>(Table<T>& to, Table<T>& from) {
        if ((kinds & flannel::kinds<T>()).any()) {
          to = std::move(from);
        }
      },
      snapshot.ours, now.ours);
  if ((kinds & flannel::kinds<Route>()).any()) {
    snapshot.leftovers = std::move(now.leftovers);
    snapshot.foreign_routes = std::move(now.foreign_routes);
  }
  snapshot.nexthops_supported = now.nexthops_supported;
}

Snapshot FakeKernel::listed(const Scope& scope) const {
  Snapshot snapshot;
  snapshot.nexthops_supported = nexthops_supported;
  snapshot.ours = state;
  snapshot.ours.of<Link>().remove_if([&](const Link& link) { return !owns_link(scope, link); });
  const NetState& ours = snapshot.ours;
  const auto on_our_link = [&](const Dev& dev) { return ours.of<Link>().find({dev}) != nullptr; };
  snapshot.ours.of<Address>().remove_if(
      [&](const Address& row) { return !owns_address(scope, on_our_link(row.key.dev), row); });
  snapshot.ours.of<Neighbour>().remove_if([&](const Neighbour& row) {
    return !owns_neighbour(scope, on_our_link(row.key.dev), true, row);
  });
  snapshot.ours.of<FdbEntry>().remove_if(
      [&](const FdbEntry& row) { return !owns_fdb_entry(on_our_link(row.key.dev), true, row); });
  for (const Route& row : state.of<Route>()) {
    if (is_left_by_reference(scope, row) && !owns_route(scope, on_our_link(row.dev), row)) {
      snapshot.leftovers.put(row);
    }
    if (in_our_networks(scope, row.key.dst) && !owns_route(scope, on_our_link(row.dev), row)) {
      snapshot.foreign_routes.put(row);
    }
  }
  snapshot.ours.of<Route>().remove_if([&](const Route& row) {
    return !owns_route(scope, on_our_link(device_of(row, state)), row);
  });
  snapshot.ours.of<Nexthop>().remove_if(
      [&](const Nexthop& row) { return !owns_nexthop(scope, kRouteProtocol, row); });
  return snapshot;
}

OpResult FakeKernel::try_op(const Op& op) {
  const int error = fail ? fail(op, count_++) : 0;
  OpResult result = error != 0 ? failure(error) : std::visit(Applier{*this, op}, op.object);
  if (result.ok()) {
    applied.push_back(op);
    if (after) {
      after(op);
    }
  }
  return result;
}

std::vector<OpResult> FakeKernel::apply(std::span<const Op> ops) {
  std::vector<OpResult> results;
  for (const Op& op : ops) {
    if (later && later(op)) {
      unanswered_.push_back(op);
      results.push_back({.pending = true});
    } else {
      results.push_back(try_op(op));
    }
  }
  return results;
}

void FakeKernel::answer() {
  for (const Op& op : std::exchange(unanswered_, {})) {
    pending_.answers.push_back({op, try_op(op)});
    if (!pending_.answers.back().result.ok()) {
      std::visit(
          [&]<class T>(const T& row) {
            const T* is = state.of<T>().find(row.key);
            notify({is == nullptr, is != nullptr ? *is : row});
          },
          op.object);
    }
  }
  signal();
}

OpResult FakeKernel::outside(const Op& op) {
  return std::visit(Applier{*this, op}, op.object);
}

std::vector<Path> FakeKernel::paths(std::span<const IpAddr> to) {
  std::vector<Path> out;
  for (const IpAddr& ip : to) {
    Path path;
    for (const HostInterface& interface : host_view.interfaces) {
      for (const HostAddress& address : interface.addresses) {
        if (interface.up && address.prefix.contains(ip)) {
          path = {interface.name, std::nullopt, address.prefix.ip};
        } else if (path.dev.empty() && gateway && gateway->family() == ip.family() &&
                   address.prefix.contains(*gateway)) {
          path = {interface.name, gateway, address.prefix.ip};
        }
      }
    }
    out.push_back(path);
  }
  return out;
}

void FakeKernel::change_host(const HostChanges& changes) {
  pending_.host = changes;
  signal();
}

void FakeKernel::lose_notifications() {
  lost_ = true;
}

void FakeKernel::notify(Change change) {
  pending_.ours.push_back(std::move(change));
  signal();
}

void FakeKernel::signal() {
  const std::uint64_t one = 1;
  if (::write(event_.get(), &one, sizeof one) != sizeof one) {
    std::abort();
  }
}

Changes FakeKernel::changes(const Scope& scope) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(event_.get(), &count, sizeof count);
  Changes out = std::exchange(pending_, {});
  if (std::exchange(lost_, false)) {
    out.ours.clear();
    out.dump_needed = all_kinds() & ~kinds<Sysctl>();
  }
  const auto on_our_link = [&](const Dev& dev) {
    const Link* link = state.of<Link>().find({dev});
    return link != nullptr && owns_link(scope, *link);
  };
  std::erase_if(out.ours, [&](const Change& change) {
    if (const Route* route = std::get_if<Route>(&change.object)) {
      const bool ours = owns_route(scope, on_our_link(device_of(*route, state)), *route);
      if (!ours && in_our_networks(scope, route->key.dst)) {
        out.foreign_routes.push_back(change);
      }
      return !ours;
    }
    if (const Nexthop* nexthop = std::get_if<Nexthop>(&change.object)) {
      return !owns_nexthop(scope, kRouteProtocol, *nexthop);
    }
    return false;
  });
  return out;
}

}  // namespace flannel
