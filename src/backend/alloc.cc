#include "backend/alloc.h"

namespace flannel {
namespace {

class AllocBackend : public Backend {
 public:
  std::string type() const override { return "alloc"; }
  Traits traits(const NetworkConfig&) const override {
    return {.links = {}, .makes_routes = false};
  }
  Result<std::uint32_t> mtu(const NetworkConfig&,
                            const ExternalInterface& external) const override {
    return external.mtu;
  }
  // Without a backend type, as the reference publishes it.
  LeaseAttrs announce(const NetworkConfig&, const ExternalInterface& external,
                      const AnnounceInputs&) const override {
    return {external.public_v4, external.public_v6, "", "", ""};
  }
  Plan plan(const Node&, PeerList) const override { return {}; }
};

}  // namespace

Result<std::unique_ptr<Backend>> make_alloc(const NetworkConfig&) {
  return std::make_unique<AllocBackend>();
}

}  // namespace flannel
