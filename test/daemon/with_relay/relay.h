// A backend that only a test has: something beside the kernel moves the packets, which is asked for
// its own address before the node has a lease, and is told who the peers are. It is the smallest
// one with an engine.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "backend/engine.h"
#include "base/wake.h"
#include "network/peer_changes.h"

namespace flannel {

// What the relay is like and what it was told, for the test; it outlives the daemons.
struct RelayDouble {
  std::string address = "relay-1";
  std::string no_address;  // why it cannot say
  std::string broken;      // why it does not run
  std::string trouble;     // what goes wrong while it runs
  int prepared = 0, begun = 0, engines = 0;
  std::map<std::string, std::string> peers;  // subnet, backend data
  std::string own;                           // our public address
  int told = 0;                              // of a peer, or that one is gone
};
inline RelayDouble relay;

class RelayEngine : public Engine {
 public:
  RelayEngine() { ++relay.engines; }
  ~RelayEngine() override { --relay.engines; }

  Task<Result<std::string>> prepare() override {
    if (!relay.no_address.empty()) {
      co_return fail("{}", relay.no_address);
    }
    co_await sleep_for(std::chrono::milliseconds(1));  // as a program takes its time
    ++relay.prepared;
    co_return "\"" + relay.address + "\"";
  }

  Task<void> run(Inputs inputs) override {
    ++relay.begun;
    changed_.emplace(co_await asio::this_coro::executor);
    changes_.add_all();
    for (;;) {
      changed_->clear();
      if (!relay.broken.empty()) {
        throw std::runtime_error(relay.broken);
      }
      tell(inputs);
      set_trouble(relay.trouble);
      co_await changed_->wait();
    }
  }

  void inputs_changed(const PeersDelta& delta) override {
    changes_.add(delta);
    if (changed_) {
      changed_->set();
    }
  }

 private:
  void tell(const Inputs& inputs) {
    relay.own = inputs.external.public_address(Family::v4).to_text();
    if (changes_.all()) {
      relay.peers.clear();
      for (const Lease* peer : inputs.peers.usable()) {
        tell(*peer);
      }
    } else {
      for (const Lease* peer : changes_.gone()) {
        relay.peers.erase(to_text(peer->key));
        ++relay.told;
      }
      for (const Lease* peer : changes_.come(inputs.peers)) {
        tell(*peer);
      }
    }
    changes_.clear();
  }
  void tell(const Lease& peer) {
    relay.peers[to_text(peer.key)] = peer.attrs.backend_data;
    ++relay.told;
  }

  std::optional<Wake> changed_;
  PeerChanges changes_;
};

class RelayBackend : public Backend {
 public:
  std::string type() const override { return "relay"; }
  Traits traits(const NetworkConfig&) const override {
    return {.links = {}, .makes_routes = false};
  }
  Result<std::uint32_t> mtu(const NetworkConfig&,
                            const ExternalInterface& external) const override {
    return external.mtu;
  }
  LeaseAttrs announce(const NetworkConfig&, const ExternalInterface& external,
                      const AnnounceInputs& inputs) const override {
    return {external.public_v4, external.public_v6, type(), std::string(inputs.prepared), ""};
  }
  Plan plan(const Node&, PeerList) const override { return {}; }
  std::unique_ptr<Engine> engine() const override { return std::make_unique<RelayEngine>(); }
};

inline Result<std::unique_ptr<Backend>> make_relay(const NetworkConfig&) {
  return std::make_unique<RelayBackend>();
}

}  // namespace flannel
