#include <algorithm>
#include <string_view>

#include "backend/backend.h"
#include "backend/backends.h"
#include "base/printable.h"
#include "network/backend_options.h"

namespace flannel {
namespace {

std::string known() {
  std::string names;
  for (const BackendEntry& entry : kBackends) {
    names += (names.empty() ? "" : ", ") + std::string(entry.type);
  }
  return names;
}

}  // namespace

Result<void> Backend::check_type(const Lease& peer) const {
  if (peer.attrs.backend_type != type()) {
    return fail("its backend type is \"{}\", ours is {}", printable(peer.attrs.backend_type),
                type());
  }
  return {};
}

std::vector<std::string> warnings(const NetworkConfig& network) {
  std::vector<std::string> out;
  const auto add = [&out](const std::string& text) {
    out.push_back("network configuration: " + text);
  };
  if (network.backend_missing) {
    add("there is no Backend: udp is used");
  }
  std::ranges::for_each(network.unknown_fields, add);
  const auto entry = std::ranges::find(kBackends, network.backend_type, &BackendEntry::type);
  if (entry != std::end(kBackends)) {
    std::vector<std::string_view> known{"Type"};
    known.insert(known.end(), entry->options.begin(), entry->options.end());
    std::ranges::for_each(unknown_fields(network.backend, known, "Backend."), add);
  }
  return out;
}

Result<std::unique_ptr<Backend>> make_backend(const NetworkConfig& network) {
  for (const BackendEntry& entry : kBackends) {
    if (entry.type == network.backend_type) {
      return entry.make(network);
    }
  }
  const std::string_view remedy =
      network.backend_missing ? "; it is what a missing Backend stands for: write, for example, "
                                R"("Backend": {"Type": "vxlan"})"
                              : "";
  for (const std::string_view type : kPlannedBackends) {
    if (type == network.backend_type) {
      return fail("backend type {} is not supported yet{} (known: {})", type, remedy, known());
    }
  }
  return fail("unknown backend type: {} (known: {})",
              network.backend_type.empty() ? "none is given" : printable(network.backend_type),
              known());
}

}  // namespace flannel
