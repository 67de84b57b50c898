// RtnetlinkPart::apply: ops into batches, answers back to ops.

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <numeric>

#include "kernel/address_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"
#include "kernel/rtnetlink_part.h"

namespace flannel {

using netlink::LinkMessage;
using netlink::RouteMessage;

namespace {

// A sendmsg() of this many bytes carries some hundred messages; more buys nothing (measured).
constexpr std::size_t kBatchBytes = 65'536;

bool needs_device(const Route& route) {
  return route.nexthop == 0 && route.type == RTN_UNICAST;
}

// What the kernel says of a removal that has nothing left to do.
bool is_gone(int error) {
  return error == ENOENT || error == ESRCH || error == ENODEV || error == EADDRNOTAVAIL;
}

}  // namespace

// Collects ops into the batch and sends it when it is full, or when a link op needs the devices
// to be as the ops before it left them.
class RtnetlinkPart::Applier {
 public:
  Applier(RtnetlinkPart& kernel, std::span<const Op> ops)
      : kernel_(kernel), ops_(ops), results_(ops.size()) {}

  std::vector<OpResult> run() {
    std::vector<std::size_t> all(ops_.size());
    std::iota(all.begin(), all.end(), 0);
    apply(all);
    if (use_host_routes_) {
      std::erase_if(all, [this](std::size_t i) { return results_[i].ok(); });
      apply(all);
    }
    for (const Family family : kFamilies) {
      make_room(family);
    }
    return std::move(results_);
  }

 private:
  // New routes are put exclusively. Where there is one of the key, it depends on whose it is.
  void make_room(Family family) {
    std::map<Route::Key, std::size_t> refused;
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      const Route* route = std::get_if<Route>(&ops_[i].object);
      if (route != nullptr && results_[i].error == EEXIST && route->key.dst.family() == family) {
        refused[route->key] = i;
      }
    }
    for (const RouteMessage& there : kernel_.first_routes(family, refused)) {
      const std::size_t i = refused.at(there.route.key);
      const Route& wanted = std::get<Route>(ops_[i].object);
      const Dev dev = kernel_.name_of(there.index);
      Route is = there.route;
      is.dev = is.nexthop == 0 ? dev : Dev();
      if (there.in_main_table && is == wanted) {
        results_[i] = {};
      } else if (gives_way(is.protocol)) {
        replace(i, wanted, is.protocol);
      } else {
        results_[i].text = fmt::format("{} is in the way", to_text(there, dev));
      }
    }
  }

  void replace(std::size_t i, const Route& wanted, std::uint8_t protocol) {
    current_ = i;
    use_host_routes_ = true;
    results_[i] = {};
    const int index = needs_device(wanted) ? device(wanted.dev) : 0;
    if (index == 0 && needs_device(wanted)) {
      return;
    }
    put_by_gateway(wanted, wanted.via, index, [&] { netlink::encode_put(batch_, wanted, index); });
    send();
    if (results_[i].error == EEXIST) {  // ours is there already, behind the first of its key
      results_[i] = {};
      netlink::encode_remove_first(batch_, wanted.key, protocol);
      send_for_current();
    }
  }

  void apply(const std::vector<std::size_t>& which) {
    for (const std::size_t i : which) {
      current_ = i;
      results_[i] = {};
      std::visit(
          [this](const auto& object) {
            if constexpr (requires { this->add(object); }) {  // the other kinds are other parts'
              add(object);
            }
          },
          ops_[i].object);
      if (batch_.size() >= kBatchBytes) {
        send();
      }
    }
    send();
  }

  bool removes() const { return ops_[current_].verb == Op::Verb::remove; }

  // The device as the kernel has it; where there is none, a put has its answer.
  std::optional<LinkMessage> find(const Dev& name) {
    std::optional<LinkMessage> found = kernel_.find_link(name);
    note_missing(name, found.has_value());
    return found;
  }
  // Its index, or 0; asked once for all ops on it.
  int device(const Dev& name) {
    auto known = devices_.find(name);
    if (known == devices_.end()) {
      known = devices_.emplace(name, kernel_.index_of(name)).first;
    }
    note_missing(name, known->second != 0);
    return known->second;
  }
  void note_missing(const Dev& name, bool is_there) {
    if (!is_there && !removes()) {
      results_[current_] = {ENODEV, fmt::format("there is no device {}", name.text())};
    }
  }

  void add(const Link& link) {
    send();
    if (ops_[current_].verb != Op::Verb::add) {
      const std::optional<LinkMessage> is = find(link.key.name);
      if (is && removes()) {
        netlink::encode_remove_link(batch_, is->index);
      } else if (is) {
        netlink::encode_change(batch_, link, *is);
      }
    } else {
      const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind);
      const int lower = vxlan == nullptr ? 0 : device(vxlan->lower);
      if (vxlan == nullptr || lower != 0) {
        netlink::encode_add(batch_, link, lower);
      }
    }
    send_for_current();
    if (results_[current_].error == EEXIST) {
      explain_existing(link);
    } else if (ops_[current_].verb == Op::Verb::add && results_[current_].ok()) {
      netlink::encode_finish_add(batch_, link);
      send_for_current();
    }
    devices_.clear();  // with a link the kernel removes those that lie on it
  }

  // The name is taken, by a device that is none of ours; or the VNI.
  void explain_existing(const Link& link) {
    std::string reason;
    if (const std::optional<LinkMessage> there = kernel_.find_link(link.key.name)) {
      reason = explain_foreign(there->link);
    } else {
      const std::vector<LinkMessage>& links = kernel_.list_links();
      const auto other = std::ranges::find_if(
          links, [&](const LinkMessage& found) { return has_same_vni(found.link, link); });
      reason = other != links.end() ? explain_same_vni(other->link) : "";
    }
    if (!reason.empty()) {
      results_[current_].text = reason;
    }
  }

  template <class T>
  void add_on_device(const T& object, const Dev& dev) {
    const int index = device(dev);
    if (index == 0) {
      return;
    }
    if (removes()) {
      netlink::encode_remove(batch_, object, index);
    } else {
      netlink::encode_put(batch_, object, index);
    }
    owners_.push_back(current_);
  }

  void add(const Address& address) { add_on_device(address, address.key.dev); }
  void add(const Neighbour& neighbour) { add_on_device(neighbour, neighbour.key.dev); }
  void add(const FdbEntry& entry) { add_on_device(entry, entry.key.dev); }

  void add(const Nexthop& nexthop) {
    if (removes()) {
      netlink::encode_remove(batch_, nexthop);
    } else {
      const int index = device(nexthop.dev);
      if (index == 0) {
        return;
      }
      put_by_gateway(nexthop, nexthop.via, index, [&] {
        // An id we do not know to be ours is not overwritten.
        netlink::encode_put(batch_, nexthop, index, ops_[current_].verb == Op::Verb::add);
      });
      return;
    }
    owners_.push_back(current_);
  }

  void add(const Route& route) {
    const bool by_device = needs_device(route) && (!removes() || route.key.place > 0);
    const int index = by_device ? device(route.dev) : 0;
    if (index == 0 && by_device) {
      return;
    }
    if (removes()) {
      netlink::encode_remove(batch_, route, index);
      owners_.push_back(current_);
      return;
    }
    // One that is new replaces nothing that we do not know.
    put_by_gateway(route, route.via, index, [&] {
      netlink::encode_put(batch_, route, index, ops_[current_].verb == Op::Verb::add);
    });
  }

  // An IPv6 gateway that is said to be on the link is refused all the same while there is a route
  // to it by another device (net/ipv6/route.c, ip6_route_check_nh_onlink); and a peer's gateway
  // lies in the very subnet whose route is to be moved to our device. A host route to it
  // is there for as long as that takes. New objects rarely need one: they get it after they were
  // refused.
  template <class T, class Put>
  void put_by_gateway(const T& object, const std::optional<IpAddr>& via, int index, Put put) {
    const bool with_host_route = has_onlink_v6_gateway(object) &&
                                 (use_host_routes_ || ops_[current_].verb == Op::Verb::change);
    Route host_route;
    if (with_host_route) {
      host_route.key = {{*via, static_cast<std::uint8_t>(via->bits())}, 1};
      netlink::encode_put(batch_, host_route, index);
      owners_.push_back(current_);
    }
    put();
    owners_.push_back(current_);
    if (with_host_route) {
      netlink::encode_remove(batch_, host_route, index);
      owners_.push_back(current_);
    }
  }

  static bool has_onlink_v6_gateway(const Nexthop& nexthop) {
    return nexthop.onlink && !nexthop.via.is_v4();
  }
  static bool has_onlink_v6_gateway(const Route& route) {
    return route.onlink && route.via && !route.via->is_v4();
  }
  template <class T>
  static bool has_onlink_v6_gateway(const T&) {
    return false;
  }

  void send_for_current() {
    owners_.assign(batch_.count(), current_);
    send();
  }

  void send() {
    const std::vector<OpResult> answers = kernel_.requests_.transact(batch_);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const bool gone = ops_[owners_[i]].verb == Op::Verb::remove && is_gone(answers[i].error);
      if (!answers[i].ok() && !gone) {
        results_[owners_[i]] = answers[i];
        use_host_routes_ =
            use_host_routes_ ||
            (answers[i].error == EINVAL &&
             std::visit([](const auto& object) { return has_onlink_v6_gateway(object); },
                        ops_[owners_[i]].object));
      }
    }
    batch_.clear();
    owners_.clear();
  }

  RtnetlinkPart& kernel_;
  netlink::Batch batch_;
  std::span<const Op> ops_;
  std::vector<OpResult> results_;
  std::vector<std::size_t> owners_;  // the op of each message in the batch
  std::size_t current_ = 0;
  bool use_host_routes_ = false;  // something was refused for its gateway
  std::map<Dev, int> devices_;    // their indices, as asked
};

std::vector<OpResult> RtnetlinkPart::apply(std::span<const Op> ops) {
  if (ops.empty()) {
    return {};
  }
  std::vector<OpResult> results = Applier(*this, ops).run();
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Link* link = std::get_if<Link>(&ops[i].object);
    if (!results[i].ok()) {
      invalidate_lists();  // what it was planned by may not be so
    } else if (link != nullptr && ops[i].verb == Op::Verb::add) {
      made_.push_back(*link);
    }
  }
  return results;
}

}  // namespace flannel
