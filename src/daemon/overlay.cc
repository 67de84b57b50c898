#include "daemon/overlay.h"

#include <optional>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "daemon/traffic.h"

namespace flannel {

namespace {

// The store's, or the one last known where the store cannot be reached.
Task<Result<std::string>> config_text(LeaseStore& store, FallbackState& fallback) {
  std::string failure;
  try {
    std::optional<std::string> text = co_await store.config();
    if (text) {
      co_return std::move(*text);
    }
    co_return fail("no network configuration in {} yet", store.name());
  } catch (const StoreRefused&) {
    throw;
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
  if (fallback.begin(failure)) {
    co_return fallback.get()->config;
  }
  co_return fail("{}", failure);
}

}  // namespace

Result<Overlay> make_overlay(std::string text, NetworkConfig config, bool adopt_stale) {
  Result<std::unique_ptr<Backend>> backend = make_backend(config);
  if (!backend) {
    return std::unexpected(backend.error());
  }
  Scope scope = make_scope(config, **backend);
  scope.adopt_stale = adopt_stale;
  Traits traits = (*backend)->traits(config);
  return Overlay{std::move(text),   std::move(config), std::move(*backend),
                 std::move(traits), std::move(scope),  {}};
}

Result<Overlay> read_overlay(const LeaseStore& store, std::string text, const Options& options) {
  Result<NetworkConfig> config = store.parse_config(text);
  if (!config) {
    return std::unexpected(config.error());
  }
  for (const std::string& warning : warnings(*config)) {
    log_warning("{}", warning);
  }
  Result<std::vector<Prefix>> excluded = masq_excluded(*config, options);
  if (!excluded) {
    return std::unexpected(excluded.error());
  }
  Result<Overlay> overlay = make_overlay(std::move(text), std::move(*config), options.adopt_stale);
  if (!overlay) {
    throw Fatal(fmt::format("Error fetching backend: {}", overlay.error().text));
  }
  overlay->masq_excluded = std::move(*excluded);
  return overlay;
}

Task<Result<Overlay>> find_overlay(LeaseStore& store, FallbackState& fallback,
                                   const Options& options) {
  Result<std::string> text = co_await config_text(store, fallback);
  if (!text) {
    co_return std::unexpected(text.error());
  }
  co_return read_overlay(store, std::move(*text), options);
}

}  // namespace flannel
