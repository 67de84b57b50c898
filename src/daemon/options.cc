#include "daemon/options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "base/printable.h"
#include "daemon/go_flags.h"
#include "daemon/options_check.h"
#include "kube/annotation_prefix.h"
#include "rpc/endpoint.h"

namespace flannel {
namespace {

// A flag of the table.
struct Entry {
  GoFlag flag;
  bool without_effect = false;
};

GoFlag text_flag(std::string_view name, std::string& target, std::string_view help) {
  return {name, "string", target, help, [&target](std::string_view text) {
            target = text;
            return Result<void>();
          }};
}

constexpr std::string_view kListValue = "value";  // as Go's usage calls what may be repeated

GoFlag list_flag(std::string_view name, std::vector<std::string>& target, std::string_view help) {
  return {name, kListValue, fmt::format("{}", fmt::join(target, " ")), help,
          [&target](std::string_view text) {
            target.emplace_back(text);
            return Result<void>();
          }};
}

// A file that must have a name: without one, what it is for would silently be something else.
GoFlag file_flag(std::string_view name, std::string& target, std::string_view help,
                 std::string_view otherwise) {
  return {name, "string", target, help, [&target, otherwise](std::string_view text) {
            target = text;
            return text.empty() ? fail("no file is named; {}", otherwise) : Result<void>();
          }};
}

// Takes what `parsed` says, or keeps the target as it is.
template <class T>
Result<void> take(T& target, const Result<T>& parsed) {
  target = parsed.value_or(target);
  return parsed ? Result<void>() : std::unexpected(parsed.error());
}

GoFlag number_flag(std::string_view name, std::int64_t& target, std::string_view help,
                   std::int64_t most = INT64_MAX) {
  return {name, "int", fmt::format("{}", target), help, [&target, most](std::string_view text) {
            Result<std::int64_t> number = parse_go_int(text);
            if (number && (*number > most || *number < -most - 1)) {
              number = fail("value out of range");
            }
            const std::string limit = most == INT64_MAX ? "" : fmt::format(" up to {}", most);
            return number ? take(target, number)
                          : fail("{} (a whole number{})", number.error().text, limit);
          }};
}

Result<bool> parse_bool(std::string_view text) {
  const std::optional<bool> value = parse_go_bool(text);
  return value ? Result<bool>(*value) : fail("parse error (true or false)");
}

GoFlag bool_flag(std::string_view name, bool& target, std::string_view help) {
  return {name, "", target ? "true" : "false", help,
          [&target](std::string_view text) { return take(target, parse_bool(text)); }};
}

std::string_view to_text(NexthopChoice::Mode mode) {
  constexpr std::string_view kTexts[] = {"auto", "on", "off"};
  return kTexts[static_cast<std::size_t>(mode)];
}

GoFlag nexthops_flag(std::string_view name, NexthopChoice::Mode& target, std::string_view help) {
  using Mode = NexthopChoice::Mode;
  return {name, "string", std::string(to_text(target)), help,
          [&target](std::string_view text) -> Result<void> {
            for (const Mode mode : {Mode::automatic, Mode::on, Mode::off}) {
              if (text == to_text(mode)) {
                target = mode;
                return {};
              }
            }
            const Result<bool> flag = parse_bool(text);
            target = !flag ? target : *flag ? Mode::on : Mode::off;
            return flag ? Result<void>() : fail("parse error (auto, on or off)");
          }};
}

constexpr std::string_view kVersionFlag = "version";

// Values of flags that have no place in Options, since nothing is made of them.
struct Unbuilt {
  std::string vmodule, log_backtrace_at = ":0";
};

Entry flag_without_effect(GoFlag flag) {
  return {std::move(flag), true};
}

std::vector<Entry> etcd_flags(Options& o) {
  return {
      {text_flag("etcd-endpoints", o.etcd.endpoints, "etcd servers, separated by commas")},
      {text_flag("etcd-prefix", o.etcd.prefix, "etcd prefix of configuration and leases")},
      {text_flag("etcd-keyfile", o.etcd.keyfile, "key of the client certificate for etcd")},
      {text_flag("etcd-certfile", o.etcd.certfile, "client certificate for etcd")},
      {text_flag("etcd-cafile", o.etcd.cafile, "CA that etcd's certificate must be signed by")},
      {text_flag("etcd-username", o.etcd.username, "user name for etcd")},
      {text_flag("etcd-password", o.etcd.password, "password for etcd")},
      {file_flag("local-store", o.local_store,
                 "SQLite file with the leases, instead of etcd, for one machine",
                 "leave the flag out for etcd")},
      {number_flag("subnet-lease-renew-margin", o.subnet_lease_renew_margin,
                   "minutes before its end at which the lease is renewed, 1 to 1439")},
  };
}

std::vector<Entry> host_flags(Options& o, Unbuilt& unbuilt) {
  return {
      {list_flag("iface", o.iface,
                 "interface for traffic between nodes, by name or address; may be repeated, "
                 "the first that exists is used")},
      {list_flag("iface-regex", o.iface_regex,
                 "the same by regular expression, of an address or a name; tried after iface")},
      {text_flag("iface-can-reach", o.iface_can_reach,
                 "the interface with the route to this address; tried last")},
      {text_flag("public-ip", o.public_ip, "IPv4 address other nodes send to")},
      {text_flag("public-ipv6", o.public_ipv6, "IPv6 address other nodes send to")},
      {text_flag("subnet-file", o.subnet_file, "file for the subnet and MTU, read by the plugin")},
      {text_flag(
          "state-dir", o.state_dir,
          "directory of the last known state, for a reboot while the leases' store is away; empty "
          "for none")},
      {text_flag("status-socket", o.status_socket,
                 "unix socket of the status pages; flanneld.sock beside the subnet file if empty")},
      {nexthops_flag("route-nexthops", o.route_nexthops.mode,
                     "routes through nexthop objects: on, off, or auto: from 1,000 peers on, until "
                     "less than 500")},
      {bool_flag("adopt-stale", o.adopt_stale,
                 "remove routes inside the network that the Go flannel may have left, and no node "
                 "has a lease for")},
      {text_flag("healthz-ip", o.healthz_ip, "address or host name of the health pages")},
      {number_flag("healthz-port", o.healthz_port, "port of the health pages, 0 or less for none")},
      {text_flag("metrics-addr", o.metrics_addr,
                 "ADDRESS:PORT of the metrics for Prometheus, :PORT for all addresses; empty for "
                 "none")},
      {number_flag("v", o.v, "log verbosity; 1 logs every change of the kernel", INT32_MAX)},
      flag_without_effect(text_flag("vmodule", unbuilt.vmodule, "log verbosity by file")),
      flag_without_effect(text_flag("log_backtrace_at", unbuilt.log_backtrace_at,
                                    "file:line to log a stack trace at")),
  };
}

std::vector<Entry> traffic_flags(Options& o) {
  constexpr std::int64_t kMostResync = 86'400;  // a day
  return {
      {bool_flag("ip-masq", o.ip_masq, "masquerade traffic that leaves the overlay")},
      {bool_flag("ip-masq-fully-random-disable", o.ip_masq_fully_random_disable,
                 "no random ports in masquerading")},
      {list_flag("ip-masq-exclude", o.ip_masq_exclude,
                 "network that pods' packets go to with their own address; may be repeated")},
      {bool_flag("ip-blackhole-route", o.ip_blackhole_route,
                 "a route that drops packets to addresses of the own subnet that no pod has")},
      {bool_flag("iptables-forward-rules", o.iptables_forward_rules,
                 "accept forwarded traffic of the overlay")},
      {number_flag("iptables-resync", o.iptables_resync,
                   "seconds between looks at the rules of an iptables that tells of no changes",
                   kMostResync)},
  };
}

std::vector<Entry> kube_flags(Options& o) {
  KubeOptions& kube = o.kube;
  const GoFlag prefix{"kube-annotation-prefix", "string", kube.annotation_prefix,
                      "what the names of our annotations of Nodes begin with",
                      [&kube](std::string_view text) {
                        return take(kube.annotation_prefix, parse_annotation_prefix(text));
                      }};
  return {
      {bool_flag("kube-subnet-mgr", o.kube_subnet_mgr,
                 "leases are Nodes of Kubernetes and their podCIDRs, instead of etcd")},
      {text_flag("kube-api-url", kube.api_url,
                 "URL of the API server; goes over the kubeconfig's")},
      {text_flag("kubeconfig-file", kube.kubeconfig_file,
                 "kubeconfig; without one and without kube-api-url, what a pod finds")},
      {prefix},
      {text_flag("net-config-path", kube.net_config_path,
                 "file with the network configuration, for Kubernetes")},
      {bool_flag("set-node-network-unavailable", kube.set_node_network_unavailable,
                 "clear the Node's condition NetworkUnavailable when ready")},
  };
}

// FLANNELD_ETCD_PREFIX for etcd-prefix.
std::string variable_name(std::string_view flag) {
  std::string name = "FLANNELD_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// What stands behind the first word that is no flag, for the warning. Words there may be a password
// that belongs to a flag, so that of all but the first only flags' names are shown.
std::string ignored_text(std::span<const std::string> words) {
  std::string flags;
  for (const std::string& word : words.subspan(1)) {
    if (word.starts_with('-')) {
      flags += (flags.empty() ? " (" : ", ") + without_value(word);
    }
  }
  return fmt::format("\"{}\" is ignored, as is all behind the first word that is no flag{}",
                     without_value(words.front()), flags.empty() ? "" : flags + ")");
}

// The table, which points into both arguments.
std::vector<Entry> all_flags(Options& options, Unbuilt& unbuilt, bool& version) {
  std::vector<Entry> entries{{bool_flag(kVersionFlag, version, "print the version and exit")}};
  for (const std::vector<Entry>& group : {etcd_flags(options), host_flags(options, unbuilt),
                                          traffic_flags(options), kube_flags(options)}) {
    entries.insert(entries.end(), group.begin(), group.end());
  }
  return entries;
}

std::string usage(std::string_view program, std::span<const Entry> entries) {
  std::vector<std::string> texts;  // what the flags' views point to
  texts.reserve(entries.size());
  std::vector<GoFlag> flags;
  for (const Entry& entry : entries) {
    const std::string_view mark = entry.without_effect ? "without effect: " : "";
    texts.push_back(fmt::format("{}{}", mark, entry.flag.help));
    flags.push_back(entry.flag);
    flags.back().help = texts.back();
  }
  return fmt::format("Usage: {} [OPTION]...\n{}", program, go_usage(flags));
}

// Sets the flags that are not `given` from their variables.
void take_variables(std::span<const Entry> entries,
                    const std::function<std::string(const std::string&)>& variable,
                    std::set<std::string, std::less<>>& given, std::vector<std::string>& warnings) {
  for (const Entry& entry : entries) {
    const std::string name = variable_name(entry.flag.name);
    const std::string value = variable(name);
    if (value.empty() || given.contains(entry.flag.name)) {
      continue;
    }
    if (const Result<void> set = entry.flag.set(value); set) {
      given.emplace(entry.flag.name);
    } else {
      warnings.push_back(
          fmt::format("Failed to set flag FLANNELD from env: invalid value \"{}\" for {}: {}",
                      printable(value), name, set.error().text));
    }
  }
}

// What a pod is given beside flags.
void read_environment(KubeOptions& kube,
                      const std::function<std::string(const std::string&)>& variable) {
  kube.node_name = variable("NODE_NAME");
  kube.pod_namespace = variable("POD_NAMESPACE");
  kube.pod_name = variable("POD_NAME");
  kube.service_host = variable("KUBERNETES_SERVICE_HOST");
  kube.service_port = variable("KUBERNETES_SERVICE_PORT");
  const auto either = [&](const std::string& upper, const std::string& lower) {
    const std::string value = variable(upper);
    return value.empty() ? variable(lower) : value;
  };
  kube.proxies = {.https = either("HTTPS_PROXY", "https_proxy"),
                  .http = either("HTTP_PROXY", "http_proxy"),
                  .no_proxy = either("NO_PROXY", "no_proxy")};
}

}  // namespace

std::string Options::status_socket_path() const {
  return !status_socket.empty()
             ? status_socket
             : (std::filesystem::path(subnet_file).parent_path() / "flanneld.sock").string();
}

ParsedOptions parse_options(std::span<const std::string> words,
                            const std::function<std::string(const std::string&)>& variable) {
  using Outcome = ParsedOptions::Outcome;
  ParsedOptions parsed;
  const auto end_with = [&parsed](Outcome outcome, std::string text) {
    parsed.outcome = outcome;
    parsed.text = std::move(text);
    return std::move(parsed);
  };
  Unbuilt unbuilt;
  bool version = false;
  const std::vector<Entry> entries = all_flags(parsed.options, unbuilt, version);
  std::vector<GoFlag> flags;
  for (const Entry& entry : entries) {
    flags.push_back(entry.flag);
  }
  const std::string program = words.empty() ? "flanneld" : words[0];
  Result<GoFlagsOutcome> outcome = parse_go_flags(flags, words.subspan(words.empty() ? 0 : 1));
  if (!outcome) {
    return end_with(Outcome::error,
                    fmt::format("{}; see {} --help\n", outcome.error().text, printable(program)));
  }
  if (outcome->help || (words.size() == 2 && words[1] == "help")) {
    return end_with(Outcome::help, usage(program, entries));
  }
  if (version) {
    return end_with(Outcome::version, "");
  }
  if (!outcome->ignored.empty()) {
    parsed.warnings.push_back(ignored_text(outcome->ignored));
  }
  take_variables(entries, variable, outcome->given, parsed.warnings);
  for (const Entry& entry : entries) {
    if (entry.without_effect && outcome->given.contains(entry.flag.name)) {
      parsed.warnings.push_back(fmt::format("flag -{} has no effect", entry.flag.name));
    }
  }
  read_environment(parsed.options.kube, variable);
  check_options(parsed, variable);
  return parsed;
}

namespace {

// What is described is whole; only what nobody means is cut.
constexpr std::size_t kDescribedMost = 2000;

}  // namespace

// A table of flags that are set already has their values for its defaults.
std::string describe(const Options& options) {
  Options shown = options;
  shown.etcd.endpoints = without_credentials(options.etcd.endpoints);
  shown.etcd.password = options.etcd.password.empty() ? "" : "(hidden)";
  shown.kube.api_url = without_credentials(options.kube.api_url);
  shown.status_socket = options.status_socket_path();
  Unbuilt unbuilt;
  bool version = false;
  std::string values;
  for (const Entry& entry : all_flags(shown, unbuilt, version)) {
    const GoFlag& flag = entry.flag;
    if (!entry.without_effect && flag.name != kVersionFlag) {
      const std::string_view text = flag.default_text;
      values += fmt::format("{}{}:", values.empty() ? "" : " ", flag.name);
      values += flag.value_name == kListValue ? fmt::format("[{}]", text) : text;
    }
  }
  return printable(fmt::format("CLI flags config: {{{}}}", values), kDescribedMost);
}

}  // namespace flannel
