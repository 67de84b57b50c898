#include "daemon/options_check.h"

#include <re2/re2.h>

#include <functional>

#include "base/printable.h"
#include "daemon/go_flags.h"
#include "daemon/http_server.h"
#include "firewall/plan.h"
#include "kube/node_name.h"
#include "rpc/endpoint.h"

namespace flannel {
namespace {

using Variable = std::function<std::string(const std::string&)>;
using Refuse = std::function<void(const std::string&)>;

void check_ranges(const Options& options, const Refuse& refuse) {
  if (options.subnet_lease_renew_margin < 1 ||
      options.subnet_lease_renew_margin >= std::int64_t{24} * 60) {
    refuse(fmt::format(
        "Invalid subnet-lease-renew-margin option, out of acceptable range: {} (1 to 1439)",
        options.subnet_lease_renew_margin));
  }
  if (options.healthz_port > 65535) {
    refuse(
        fmt::format("healthz-port {}: no port (1 to 65535, or 0 for none)", options.healthz_port));
  }
  const auto metrics = parse_listen_address(options.metrics_addr);
  if (!options.metrics_addr.empty() && !metrics) {
    refuse("metrics-addr " + metrics.error().text);
  }
  if (options.iptables_resync < 1) {
    refuse(fmt::format("iptables-resync {}: at least 1 second", options.iptables_resync));
  }
  if (const auto excluded = parse_excluded(options.ip_masq_exclude, {}); !excluded) {
    refuse("ip-masq-exclude: " + excluded.error().text);
  }
  const std::pair<const std::string*, Family> addresses[] = {{&options.public_ip, Family::v4},
                                                             {&options.public_ipv6, Family::v6}};
  for (const auto& [text, family] : addresses) {
    const Result<IpAddr> ip = IpAddr::parse(*text);
    if (!text->empty() && (!ip || ip->family() != family)) {
      refuse(fmt::format("invalid public {} address: {} (--public-ip{} takes an {} address)",
                         family == Family::v4 ? "IP" : "IPv6", printable(*text),
                         family == Family::v4 ? "" : "v6", to_text(family)));
    }
  }
}

// With another store they are for nobody.
void check_etcd(const Options& options, const Refuse& refuse) {
  const Result<std::vector<Endpoint>> endpoints = parse_endpoints(options.etcd.endpoints);
  if (!endpoints) {
    refuse(fmt::format("etcd-endpoints: {}", endpoints.error().text));
  }
  const auto together = [&](const std::string& one, std::string_view its_flag,
                            const std::string& other, std::string_view others_flag) {
    if (one.empty() != other.empty()) {
      refuse(fmt::format("{} without {}: they belong together, by flag or variable",
                         one.empty() ? others_flag : its_flag,
                         one.empty() ? its_flag : others_flag));
    }
  };
  together(options.etcd.username, "etcd-username", options.etcd.password, "etcd-password");
  together(options.etcd.certfile, "etcd-certfile", options.etcd.keyfile, "etcd-keyfile");
}

void check_kube(const Options& options, const Variable& variable, const Refuse& refuse) {
  const KubeOptions& kube = options.kube;
  if (!options.local_store.empty()) {
    refuse("local-store and kube-subnet-mgr: only one of them has the leases");
  }
  if (kube.node_name.empty() && (kube.pod_name.empty() || kube.pod_namespace.empty())) {
    refuse("env variables POD_NAME and POD_NAMESPACE must be set (or NODE_NAME)");
  }
  const std::pair<std::string_view, const std::string*> names[] = {
      {"NODE_NAME", &kube.node_name},
      {"POD_NAME", &kube.pod_name},
      {"POD_NAMESPACE", &kube.pod_namespace}};
  for (const auto& [name, value] : names) {
    if (!value->empty() && !is_object_name(*value)) {
      refuse(fmt::format("env {}={}: nothing in Kubernetes can have this name", name,
                         printable(*value)));
    }
  }
  // How many events the reference keeps; here none is lost.
  const std::string depth = variable("EVENT_QUEUE_DEPTH");
  if (const Result<std::int64_t> number = parse_go_int(depth); !depth.empty() && !number) {
    refuse(fmt::format("env EVENT_QUEUE_DEPTH={} format error: {}", printable(depth),
                       number.error().text));
  }
}

// A rule for the interface that cannot be read is passed over, as in Go, while there is another to
// go by. Else nothing could ever be found.
void check_interface_rules(ParsedOptions& parsed, const Refuse& refuse) {
  const Options& options = parsed.options;
  std::vector<std::string> bad;
  for (const std::string& expression : options.iface_regex) {
    if (const RE2 regex(expression, RE2::Quiet); !regex.ok()) {
      bad.push_back(
          fmt::format("iface-regex {}: {}", printable(expression), printable(regex.error())));
    }
  }
  const std::string& target = options.iface_can_reach;
  if (!target.empty() && !IpAddr::parse(target)) {
    bad.push_back(fmt::format("iface-can-reach {}: no IP address", printable(target)));
  }
  const std::size_t rules =
      options.iface.size() + options.iface_regex.size() + (target.empty() ? 0 : 1);
  for (const std::string& text : bad) {
    if (bad.size() == rules) {
      refuse(text);
    } else {
      parsed.warnings.push_back(text);
    }
  }
}

}  // namespace

void check_options(ParsedOptions& parsed, const Variable& variable) {
  const Refuse refuse = [&parsed](const std::string& text) {
    parsed.outcome = ParsedOptions::Outcome::error;
    parsed.text += text + "\n";
  };
  check_ranges(parsed.options, refuse);
  check_interface_rules(parsed, refuse);
  if (parsed.options.kube_subnet_mgr) {
    check_kube(parsed.options, variable, refuse);
  } else if (parsed.options.local_store.empty()) {
    check_etcd(parsed.options, refuse);
  }
}

}  // namespace flannel
