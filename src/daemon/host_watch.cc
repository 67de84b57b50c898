#include "daemon/host_watch.h"

#include <algorithm>

#include "base/log.h"
#include "base/rate_limit.h"

namespace flannel {

namespace {

InterfaceOptions with_facts(InterfaceOptions options, const NodeFacts& facts) {
  if (facts.public_ip) {
    options.public_ip = facts.public_ip->to_text();
  }
  if (facts.public_ipv6) {
    options.public_ipv6 = facts.public_ipv6->to_text();
  }
  return options;
}

// Why no packet leaves by it, whatever its addresses and routes are.
std::string link_trouble(const HostView& host, const Dev& name) {
  const auto at = std::ranges::find(host.interfaces, name, &HostInterface::name);
  if (at == host.interfaces.end() || (at->up && at->has_carrier)) {
    return "";
  }
  return fmt::format("{} {}", name.text(), at->up ? "has no carrier" : "is down");
}

}  // namespace

HostWatch::HostWatch(const asio::any_io_executor& executor, Kernel& kernel, HostNetwork& host,
                     const Overlay& overlay, NodeFacts facts, InterfaceOptions options,
                     Timing timing)
    : kernel_(kernel),
      host_(host),
      overlay_(overlay),
      options_(std::move(options)),
      facts_(std::move(facts)),
      timing_(timing),
      changed_(executor) {}

void HostWatch::set_facts(NodeFacts facts) {
  facts_ = std::move(facts);
  changed();
}

HostView HostWatch::host_at_start() const {
  kernel_.changes(overlay_.scope);
  return host_.host();
}

Result<ExternalInterface> HostWatch::find(const HostView& host) const {
  return choose_interface(
      with_facts(options_, facts_), overlay_.config, host,
      [this](const IpAddr& to) { return host_.paths({&to, 1}).front(); }, external());
}

Result<void> HostWatch::choose() {
  const Result<ExternalInterface> chosen = find(host_at_start());
  if (!chosen) {
    return std::unexpected(chosen.error());
  }
  if (const Result<void> usable = use(*chosen); !usable) {
    throw Fatal(usable.error().text);
  }
  return {};
}

HostUse HostWatch::use() const {
  return host_use(host_at_start(), overlay_.scope);
}

LeaseAttrs HostWatch::announcement(const ExternalInterface& external) const {
  Snapshot kernel;
  kernel_.dump(overlay_.scope, kinds<Link>(), kernel);
  return overlay_.backend->announce(
      overlay_.config, external,
      {kernel.ours.of<Link>(), facts_.published ? &*facts_.published : nullptr, overlay_.prepared});
}

// Error: the backend cannot use it, and nothing has changed.
Result<void> HostWatch::use(const ExternalInterface& external) {
  const Result<std::uint32_t> mtu = overlay_.backend->mtu(overlay_.config, external);
  if (!mtu) {
    return std::unexpected(mtu.error());
  }
  external_ = external;
  for (const std::optional<IpAddr>& own : {external.v4, external.v6}) {
    if (own) {
      log_info("Using interface with name {} and address {}", external.name.text(), own->to_text());
    }
  }
  for (const std::string& warning : overlay_.backend->warnings(external)) {
    log_warning("{}", warning);
  }
  return {};
}

void HostWatch::set_trouble(const std::string& trouble) {
  if (trouble != trouble_) {
    const std::string_view name = external_->name.text();
    log_trouble(!trouble.empty(), trouble.empty() ? fmt::format("interface {} works again", name)
                                                  : fmt::format("{}; keeping {}", trouble, name));
    trouble_ = trouble;
    on_trouble();
  }
}

void HostWatch::look() {
  const HostView host = host_.host();
  const Result<ExternalInterface> chosen = find(host);
  const bool is_other = chosen && *chosen != *external_;
  // Before anything changes: a dump may fail, and this is then done again.
  const LeaseAttrs attrs = is_other ? announcement(*chosen) : LeaseAttrs();
  const Result<void> usable = !chosen    ? std::unexpected(chosen.error())
                              : is_other ? use(*chosen)
                                         : Result<void>();
  on_use(host_use(host, overlay_.scope));
  set_trouble(usable ? link_trouble(host, external_->name) : usable.error().text);
  if (is_other && usable) {
    on_interface(attrs);
  }
}

Task<void> HostWatch::run() {
  for (RateLimit rate_limit(timing_.most_charged);;) {
    const auto began = std::chrono::steady_clock::now();
    changed_.clear();
    on_look();
    look();
    rate_limit.charge(began, std::chrono::steady_clock::now());
    co_await changed_.wait();
    const auto now = std::chrono::steady_clock::now();
    co_await sleep_for(std::max(now + timing_.debounce, rate_limit.next()) - now);
  }
}

}  // namespace flannel
