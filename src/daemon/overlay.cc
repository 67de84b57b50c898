#include "daemon/overlay.h"

#include <utility>

namespace flannel {

Result<Overlay> make_overlay(std::string text, NetworkConfig config, bool adopt_stale) {
  Result<std::unique_ptr<Backend>> backend = make_backend(config);
  if (!backend) {
    return std::unexpected(backend.error());
  }
  Scope scope = make_scope(config, **backend);
  scope.adopt_stale = adopt_stale;
  return Overlay{std::move(text), std::move(config), std::move(*backend), std::move(scope)};
}

}  // namespace flannel
