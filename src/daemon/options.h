// flanneld's flags and FLANNELD_* variables.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "daemon/choose_interface.h"
#include "kube/kube_options.h"
#include "store/etcd_store.h"

namespace flannel {

struct Options {
  EtcdOptions etcd;
  std::string local_store;       // path of the SQLite file; empty for etcd
  bool kube_subnet_mgr = false;  // Kubernetes instead of etcd
  KubeOptions kube;
  std::vector<std::string> iface, iface_regex;
  std::string iface_can_reach;
  std::string public_ip, public_ipv6;
  std::string subnet_file = "/run/flannel/subnet.env";
  std::string state_dir = "/var/lib/flannel";  // empty: no last known state
  std::string status_socket;                   // empty: flanneld.sock beside the subnet file
  std::string healthz_ip = "0.0.0.0";
  std::int64_t healthz_port = 0;                // 0 or less: none
  std::string metrics_addr;                     // of parse_listen_address(); empty: none
  std::int64_t subnet_lease_renew_margin = 60;  // minutes
  std::int64_t v = 0;
  NexthopChoice route_nexthops;
  bool adopt_stale = false;
  bool ip_masq = false;
  bool ip_masq_fully_random_disable = false;
  std::vector<std::string> ip_masq_exclude;
  bool ip_blackhole_route = false;
  bool iptables_forward_rules = true;
  std::int64_t iptables_resync = 5;  // seconds

  std::chrono::minutes renew_margin() const {
    return std::chrono::minutes(subnet_lease_renew_margin);
  }
  std::string status_socket_path() const;
  InterfaceOptions interface_options() const {
    return {iface, iface_regex, iface_can_reach, public_ip, public_ipv6};
  }
};

struct ParsedOptions {
  enum class Outcome { run, help, version, error } outcome = Outcome::run;
  Options options;
  std::string text;                   // for stderr: the usage, or errors, a line each
  std::vector<std::string> warnings;  // bad variables, ignored words
};

// `words` begins with the program's name; `variable` gives an environment variable's value, empty
// where it is not set.
ParsedOptions parse_options(std::span<const std::string> words,
                            const std::function<std::string(const std::string&)>& variable);

// `CLI flags config: {…}`, the password left out.
std::string describe(const Options& options);

}  // namespace flannel
