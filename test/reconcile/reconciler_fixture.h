// A reconciler on the fake kernel.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "base/loop_fixture.h"
#include "reconcile/reconciler.h"
#include "test/support/fake_kernel.h"

namespace flannel {

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() {
    kernel.host_view.interfaces.push_back({"eth0", 2, 1500, true, {}});
    scope.links = {"flannel.1"};
    scope.alias = "flannel 10.5.0.0/16";
    scope.networks = {*Prefix::parse("10.0.0.0/8")};  // room for as many peers as any test has
    scope.first_nexthop = 0x100000;
    want = overlay(3);
  }

  static NetState overlay(unsigned peers) {
    NetState state;
    Link link;
    link.key.name = "flannel.1";
    link.kind = Vxlan{1, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
    link.mac = Mac::local(1);
    link.mtu = 1450;
    link.alias = "flannel 10.5.0.0/16";
    state.of<Link>().put(link);
    state.of<Sysctl>().put({{"flannel.1", std::string(kAcceptRa)}, "0"});
    state.of<Address>().put({{"flannel.1", *Prefix::parse("10.5.0.0/32")}});
    for (unsigned i = 1; i <= peers; ++i) {
      const IpAddr base = IpAddr::from_number(Family::v4, 0x0a050000 + (i << 8));
      state.of<Neighbour>().put({{"flannel.1", base}, Mac::local(0x100 + i)});
      state.of<FdbEntry>().put(
          {{"flannel.1", Mac::local(0x100 + i)}, IpAddr::from_number(Family::v4, 0xc6120000 + i)});
      state.of<Nexthop>().put({{0x100000 + i}, base, "flannel.1", true});
      Route route;
      route.key.dst = {base, 24};
      route.nexthop = 0x100000 + i;
      state.of<Route>().put(route);
    }
    return state;
  }

  Reconciler& start() {
    reconciler.emplace(
        io.get_executor(), kernel, scope,
        Reconciler::Planner{.plan = [this](const Snapshot&) { return want; }},
        Reconciler::Timing{std::chrono::milliseconds(1), std::chrono::milliseconds(1),
                           std::chrono::milliseconds(1), std::chrono::milliseconds(4), audit,
                           answer});
    asio::co_spawn(io, reconciler->run(), asio::detached);
    asio::co_spawn(io, reconciler->follow_kernel(), asio::detached);
    return *reconciler;
  }

  // Runs the loop until `done`, or gives up after some seconds.
  bool run_until(const std::function<bool()>& done) { return flannel::run_until(io, done); }
  // Something was tried again, and failed again.
  bool has_failed_thrice() {
    return run_until([this] {
      const std::vector<Problem>& problems = reconciler->report().problems;
      return !problems.empty() && problems[0].attempts >= 3;
    });
  }
  // As wanted, and quiet.
  bool converges() {
    return run_until([this] {
      return reconciler->report().passes > 0 && to_text(kernel.dump(scope).ours) == to_text(want) &&
             reconciler->report().problems.empty();
    });
  }

  asio::io_context io;
  FakeKernel kernel;
  Scope scope;
  NetState want;
  std::chrono::milliseconds audit{1'000'000};
  std::chrono::milliseconds answer{1'000'000};
  std::optional<Reconciler> reconciler;
};

}  // namespace flannel
