#include "cni/portmap_iptables.h"

#include <algorithm>
#include <map>
#include <set>

#include "cni/error.h"
#include "cni/hash_name.h"
#include "cni/iptables.h"

namespace flannel::cni {
namespace {

const std::string kDnatChain = "CNI-HOSTPORT-DNAT";
const std::string kSetMarkChain = "CNI-HOSTPORT-SETMARK";
const std::string kMasqueradeChain = "CNI-HOSTPORT-MASQ";
constexpr std::size_t kMostPorts = 15;     // of one multiport match
constexpr std::size_t kMostComment = 255;  // of the comment match

struct Rule {
  std::string chain;
  RuleWords words;
  bool first = false;  // before all others of its chain
};

std::string own_chain(const std::string& network, const std::string& container_id) {
  return chain_name("CNI-DN-", network, container_id);
}

std::string comment_of(const PortmapConfig& config) {
  const std::string text =
      fmt::format("dnat name: \"{}\" id: \"{}\"", config.network, config.container_id);
  return text.size() <= kMostComment ? text : text.substr(0, kMostComment - 2) + "...";
}

// In the order in which the reference makes them.
std::vector<Rule> shared_rules(const PortmapConfig& config) {
  std::vector<Rule> rules;
  const std::string mark = fmt::format("{:#x}/{:#x}", 1U << config.mark_bit, 1U << config.mark_bit);
  if (config.snat && !config.set_mark_chain) {
    rules.push_back({kSetMarkChain,
                     {"-m", "comment", "--comment", "CNI portfwd masquerade mark", "-j", "MARK",
                      "--set-xmark", mark}});
    rules.push_back({kMasqueradeChain, {"-m", "mark", "--mark", mark, "-j", "MASQUERADE"}});
    // Before the rules of bridges, that would masquerade or accept what is marked.
    rules.push_back(
        {"POSTROUTING",
         {"-m", "comment", "--comment", "CNI portfwd requiring masquerade", "-j", kMasqueradeChain},
         true});
  }
  for (const char* chain : {"PREROUTING", "OUTPUT"}) {
    rules.push_back({chain, {"-m", "addrtype", "--dst-type", "LOCAL", "-j", kDnatChain}});
  }
  return rules;
}

// The ports of a protocol, as lists that a multiport match takes.
std::vector<std::string> port_lists(const std::vector<std::uint16_t>& ports) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < ports.size(); i += kMostPorts) {
    const std::size_t end = std::min(i + kMostPorts, ports.size());
    out.push_back(
        fmt::format("{}", fmt::join(ports.begin() + static_cast<std::ptrdiff_t>(i),
                                    ports.begin() + static_cast<std::ptrdiff_t>(end), ",")));
  }
  return out;
}

std::vector<Rule> entry_rules(const PortmapConfig& config, Family family) {
  std::map<std::string, std::vector<std::uint16_t>> ports;
  for (const PortMapping& mapping : config.mappings) {
    ports[mapping.protocol].push_back(mapping.host_port);
  }
  std::vector<Rule> rules;
  for (const auto& [protocol, numbers] : ports) {
    for (const std::string& list : port_lists(numbers)) {
      RuleWords words = {"-m",        "comment", "--comment", comment_of(config),    "-m",
                         "multiport", "-p",      protocol,    "--destination-ports", list};
      const std::vector<std::string>& conditions = config.conditions(family);
      words.insert(words.end(), conditions.begin(), conditions.end());
      words.insert(words.end(), {"-j", own_chain(config.network, config.container_id)});
      rules.push_back({kDnatChain, std::move(words)});
    }
  }
  return rules;
}

std::string target_of(const Prefix& address, std::uint16_t port) {
  return fmt::format(fmt::runtime(address.ip.is_v4() ? "{}:{}" : "[{}]:{}"), address.ip.to_text(),
                     port);
}

std::vector<Rule> own_rules(const PortmapConfig& config, Family family) {
  const Prefix& address = *config.address(family);
  const std::string chain = own_chain(config.network, config.container_id);
  const std::string everybody = family == Family::v4 ? "0.0.0.0/0" : "::/0";
  std::vector<Rule> rules;
  for (const PortMapping& mapping : config.mappings) {
    if (!PortmapConfig::applies(mapping, family)) {
      continue;
    }
    RuleWords match = {"-p", mapping.protocol, "--dport", fmt::format("{}", mapping.host_port)};
    if (mapping.host_ip && !mapping.host_ip->is_unspecified()) {
      match.insert(match.end(), {"-d", mapping.host_ip->to_text()});
    }
    const auto add = [&](const RuleWords& more) {
      RuleWords words = match;
      words.insert(words.end(), more.begin(), more.end());
      rules.push_back({chain, std::move(words)});
    };
    if (config.snat) {
      const std::string marker = config.set_mark_chain.value_or(kSetMarkChain);
      add({"-s", config.masquerade_all ? everybody : address.to_text(), "-j", marker});
      if (family == Family::v4 && !config.masquerade_all) {
        add({"-s", "127.0.0.1", "-j", marker});
      }
    }
    add({"-j", "DNAT", "--to-destination", target_of(address, mapping.container_port)});
  }
  return rules;
}

std::vector<std::string> lines_of(std::string_view command, const std::vector<Rule>& rules) {
  std::vector<std::string> lines;
  for (const Rule& rule : rules) {
    lines.push_back(rule_line(command, rule.chain, rule.words));
  }
  return lines;
}

std::vector<Rule> container_rules(const PortmapConfig& config, Family family) {
  std::vector<Rule> rules = own_rules(config, family);
  const std::vector<Rule> entries = entry_rules(config, family);
  rules.insert(rules.end(), entries.begin(), entries.end());
  return rules;
}

std::vector<std::string> joined(std::vector<std::string> lines,
                                const std::vector<std::string>& more) {
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

// A chain with all that leads to it.
void remove_chain(const Iptables& iptables, const std::string& entry, const std::string& chain) {
  const std::vector<std::string> rules = iptables.list(entry);
  const bool used = std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
    return rule.ends_with(" -j " + chain);
  });
  if (used) {
    iptables.change(removal_of_chain(rules, chain));
  }
}

}  // namespace

std::vector<std::string> check_of_shared_chains(const PortmapConfig& config) {
  return lines_of("-C", shared_rules(config));
}

std::vector<std::string> making_of_shared_chains(const PortmapConfig& config,
                                                 const std::vector<std::string>& rules) {
  const auto any = [&](const auto& predicate) {
    return std::any_of(rules.begin(), rules.end(), predicate);
  };
  std::vector<std::string> lines;
  std::set<std::string> made;
  // A chain is there when it has a rule, or something leads to it. Making it would empty it.
  const auto make = [&](const std::string& chain) {
    const bool there = any([&](const std::string& rule) {
      return rule.starts_with("-A " + chain + " ") || rule.ends_with(" -j " + chain);
    });
    if (!there && made.insert(chain).second) {
      lines.push_back(fmt::format(":{} - [0:0]", chain));
    }
  };
  for (const Rule& rule : shared_rules(config)) {
    if (rule.chain.starts_with("CNI-")) {
      make(rule.chain);
    }
    if (rule.words.back() == kDnatChain) {
      make(kDnatChain);
    }
    const std::string line = rule_line("-A", rule.chain, rule.words);
    if (!any([&](const std::string& each) { return each == line; })) {
      lines.push_back(rule.first ? rule_line("-I", rule.chain, rule.words) : line);
    }
  }
  return lines;
}

std::vector<std::string> rules_of_container(const PortmapConfig& config, Family family) {
  const std::string chain = own_chain(config.network, config.container_id);
  return joined({fmt::format(":{} - [0:0]", chain)},
                lines_of("-A", container_rules(config, family)));
}

std::vector<std::string> check_of_container(const PortmapConfig& config, Family family) {
  return lines_of("-C", container_rules(config, family));
}

void set_up_iptables_ports(const PortmapConfig& config) {
  for (const Family family : {Family::v4, Family::v6}) {
    if (!config.address(family)) {
      continue;
    }
    const Iptables iptables(family);
    const std::vector<std::string> own = rules_of_container(config, family);
    // Usually the shared chains are there, and one run is enough.
    if (iptables.try_change(joined(check_of_shared_chains(config), own))) {
      continue;
    }
    std::vector<std::string> rules;
    for (const std::string& chain : {std::string("PREROUTING"), std::string("OUTPUT"),
                                     std::string("POSTROUTING"), kSetMarkChain, kMasqueradeChain}) {
      rules = joined(std::move(rules), iptables.list(chain));
    }
    iptables.change(joined(making_of_shared_chains(config, rules), own));
  }
}

void check_iptables_ports(const PortmapConfig& config) {
  for (const Family family : {Family::v4, Family::v6}) {
    if (config.address(family) &&
        !Iptables(family).try_change(check_of_container(config, family), true)) {
      throw_error(Code::internal, "could not check {} dnat: a rule of chain {} is missing",
                  family == Family::v4 ? "ipv4" : "ipv6",
                  own_chain(config.network, config.container_id));
    }
  }
}

void tear_down_iptables_ports(const std::string& network, const std::string& container_id) {
  for (const Family family : {Family::v4, Family::v6}) {
    const Iptables iptables(family);
    remove_chain(iptables, kDnatChain, own_chain(network, container_id));
  }
}

void collect_iptables_ports(const std::string& network, const std::vector<Attachment>& valid) {
  std::set<std::string> keep;
  for (const Attachment& attachment : valid) {
    keep.insert(own_chain(network, attachment.container_id));
  }
  const std::string mark = fmt::format("dnat name: \\\"{}\\\" id: ", network);
  for (const Family family : {Family::v4, Family::v6}) {
    const Iptables iptables(family);
    const std::vector<std::string> rules = iptables.list(kDnatChain);
    std::set<std::string> stale;
    for (const std::string& rule : rules) {
      const std::size_t jump = rule.rfind(" -j ");
      const bool ours = jump != std::string::npos && rule.find(mark) != std::string::npos;
      if (ours && !keep.contains(rule.substr(jump + 4))) {
        stale.insert(rule.substr(jump + 4));
      }
    }
    for (const std::string& chain : stale) {
      iptables.change(removal_of_chain(rules, chain));
    }
  }
}

}  // namespace flannel::cni
