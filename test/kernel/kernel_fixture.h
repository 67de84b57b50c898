// What tests of kernels share: a fake or a real one with an underlay device eth0, 198.18.0.2/24,
// the real one in a network namespace that ends with this process; and an overlay to put into it.
#pragma once

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "kernel/host_kernel.h"
#include "test/support/fake_kernel.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel {

class KernelContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() == std::string("fake")) {
      auto fake = std::make_unique<FakeKernel>();
      fake->host_view.interfaces.push_back(
          {"eth0", 2, 1500, true, {{.prefix = *Prefix::parse("198.18.0.2/24")}}});
      fake->host_view.default_routes.push_back(
          {Family::v4, "eth0", 0, {*IpAddr::parse("198.18.0.1")}, {}});
      host_ = fake.get();
      kernel_ = std::move(fake);
      return;
    }
    ROOT_OR_SKIP();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    make_underlay();
    auto real = std::make_unique<HostKernel>();
    host_ = real.get();
    kernel_ = std::move(real);
  }

  static Link device(Dev name = "flannel.1", std::uint32_t vni = 1) {
    Link link;
    link.key.name = name;
    link.kind = Vxlan{vni, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
    link.mac = *Mac::parse("02:00:00:00:00:02");
    link.mtu = 1450;
    link.alias = "flannel 10.5.0.0/16";
    return link;
  }

  static Scope scope() {
    Scope scope;
    scope.links = {"flannel.1"};
    scope.alias = "flannel 10.5.0.0/16";
    scope.networks = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("fc00:5::/48")};
    scope.first_nexthop = 0x100000;
    return scope;
  }

  // A device with an address and one peer, by way of a nexthop object.
  static NetState overlay() {
    NetState state;
    state.of<Link>().put(device());
    state.of<Sysctl>().put({{"flannel.1", std::string(kAcceptRa)}, "0"});
    state.of<Address>().put({{"flannel.1", *Prefix::parse("10.5.60.0/32")}});
    state.of<Neighbour>().put({{"flannel.1", base()}, peer_mac()});
    state.of<FdbEntry>().put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.3")});
    state.of<Nexthop>().put(nexthop());
    state.of<Route>().put(route());
    return state;
  }

  static IpAddr base() { return *IpAddr::parse("10.5.61.0"); }
  static Mac peer_mac() { return *Mac::parse("02:00:00:00:00:61"); }
  static Nexthop nexthop() { return {{0x100007}, base(), "flannel.1", true}; }
  static Route route() {
    Route route;
    route.key.dst = {base(), 24};
    route.nexthop = 0x100007;
    return route;
  }
  static Route plain_route() {
    Route route;
    route.key.dst = {base(), 24};
    route.via = base();
    route.dev = "flannel.1";
    route.onlink = true;
    return route;
  }

  static std::vector<Op> ops_for(Op::Verb verb, const NetState& state) {
    std::vector<Op> ops;
    for_each_table(
        [&](const auto& table) {
          for (const auto& row : table) {
            if (verb != Op::Verb::remove || !is_setting<std::decay_t<decltype(row)>>()) {
              ops.push_back({verb, row});
            }
          }
        },
        state);
    return ops;
  }

  void apply(const std::vector<Op>& ops) {
    const std::vector<OpResult> results = kernel_->apply(ops);
    ASSERT_EQ(results.size(), ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) {
      EXPECT_TRUE(results[i].ok()) << to_text(ops[i]) << ": " << results[i].text;
    }
  }
  void add(const NetState& state) { apply(ops_for(Op::Verb::add, state)); }
  OpResult apply_one(Op::Verb verb, Object object) {
    return kernel_->apply(std::vector<Op>{{verb, std::move(object)}})[0];
  }
  // Of settings that alone which overlay() has.
  NetState dump() {
    NetState ours = kernel_->dump(scope()).ours;
    ours.of<Sysctl>().remove_if([](const Sysctl& row) { return row.key.name != kAcceptRa; });
    return ours;
  }

  // Another program's change.
  void outside(Op::Verb verb, Object object, const std::string& command) {
    if (FakeKernel* fake = dynamic_cast<FakeKernel*>(kernel_.get())) {
      ASSERT_TRUE(fake->outside({verb, std::move(object)}).ok());
    } else {
      shell(command);
    }
  }

  // Notifications until `enough` of them say so.
  Changes changes(const std::function<bool(const Changes&)>& enough) {
    Changes all;
    for (int i = 0; i < 100 && !enough(all); ++i) {
      pollfd readable{kernel_->notify_fd(), POLLIN, 0};
      ::poll(&readable, 1, 100);
      Changes more = kernel_->changes(scope());
      all.dump_needed |= more.dump_needed;
      all.host.all = all.host.all || more.host.all;
      all.host.links.insert(all.host.links.end(), more.host.links.begin(), more.host.links.end());
      all.host.routes.insert(all.host.routes.end(), more.host.routes.begin(),
                             more.host.routes.end());
      all.ours.insert(all.ours.end(), more.ours.begin(), more.ours.end());
    }
    return all;
  }
  void drain() {
    pollfd readable{kernel_->notify_fd(), POLLIN, 0};
    while (::poll(&readable, 1, 20) > 0) {
      kernel_->changes(scope());
    }
  }
  static bool same_key(const Object& a, const Object& b) {
    return std::visit(
        [&b](const auto& row) {
          const auto* other = std::get_if<std::decay_t<decltype(row)>>(&b);
          return other != nullptr && other->key == row.key;
        },
        a);
  }
  static bool says(const Changes& changes, bool removed, const Object& object) {
    return std::any_of(changes.ours.begin(), changes.ours.end(), [&](const Change& change) {
      return change.removed == removed && change.object == object;
    });
  }
  // As says(), of a removed object, by its key.
  static bool says_gone(const Changes& changes, const Object& object) {
    return std::any_of(changes.ours.begin(), changes.ours.end(), [&](const Change& change) {
      return change.removed && same_key(change.object, object);
    });
  }

  std::unique_ptr<Kernel> kernel_;
  HostNetwork* host_ = nullptr;  // the same object
};

}  // namespace flannel
