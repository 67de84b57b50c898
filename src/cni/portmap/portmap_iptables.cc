#include "cni/portmap/portmap_iptables.h"

#include <algorithm>
#include <map>
#include <set>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

const std::string kDnatChain = "CNI-HOSTPORT-DNAT";
const std::string kSetMarkChain = "CNI-HOSTPORT-SETMARK";
const std::string kMasqueradeChain = "CNI-HOSTPORT-MASQ";
const std::string kOldSnatChain = "CNI-HOSTPORT-SNAT";  // of versions before 2018
// The chains that lead to those of containers, a built-in one first.
const std::vector<std::string> kEntryChains = {"POSTROUTING", kDnatChain, kOldSnatChain};
constexpr std::size_t kMostPorts = 15;  // of one multiport match

std::string own_chain(const std::string& network, const std::string& container_id) {
  return chain_name("CNI-DN-", network, container_id);
}

// Of versions before 2018, that masqueraded by container.
std::string old_chain(const std::string& network, const std::string& container_id) {
  return chain_name("CNI-SN-", network, container_id);
}

std::string comment_of(const PortmapConfig& config) {
  return iptables_comment_of(
      fmt::format("dnat name: \"{}\" id: \"{}\"", config.network, config.container_id));
}

// In the order in which the reference makes them.
std::vector<NatRule> shared_rules(const PortmapConfig& config) {
  std::vector<NatRule> rules;
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

std::vector<NatRule> entry_rules(const PortmapConfig& config, Family family) {
  std::map<std::string, std::vector<std::uint16_t>> ports;
  for (const PortMapping& mapping : config.mappings) {
    ports[mapping.protocol].push_back(mapping.host_port);
  }
  std::vector<NatRule> rules;
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

std::vector<NatRule> own_rules(const PortmapConfig& config, Family family) {
  const Prefix& address = *config.address(family);
  const std::string chain = own_chain(config.network, config.container_id);
  const std::string everybody = family == Family::v4 ? "0.0.0.0/0" : "::/0";
  std::vector<NatRule> rules;
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

std::vector<NatRule> container_rules(const PortmapConfig& config, Family family) {
  std::vector<NatRule> rules = own_rules(config, family);
  const std::vector<NatRule> entries = entry_rules(config, family);
  rules.insert(rules.end(), entries.begin(), entries.end());
  return rules;
}

}  // namespace

NatBatch plan_iptables_ports(const PortmapConfig& config, Family family, const NatTable* known) {
  NatBatch batch(known);
  for (const NatRule& rule : shared_rules(config)) {
    if (rule.chain.starts_with("CNI-")) {
      batch.ensure_chain(rule.chain, Expected::present);
    } else if (rule.words.back() == kDnatChain) {
      batch.ensure_chain(kDnatChain, Expected::present);
    }
    batch.ensure_rule(rule, Expected::present);
  }
  const std::string chain = own_chain(config.network, config.container_id);
  batch.clear_chain(chain);  // one that a DEL did not remove
  batch.ensure_chain(chain, Expected::absent);
  for (const NatRule& rule : container_rules(config, family)) {
    batch.ensure_rule(rule, Expected::absent);
  }
  return batch;
}

NatBatch plan_iptables_removal(const PortmapConfig& config, Family family, const NatTable* known) {
  NatBatch batch(known);
  batch.remove_chain(own_chain(config.network, config.container_id), entry_rules(config, family));
  if (known != nullptr) {
    batch.remove_chain(old_chain(config.network, config.container_id), {});
  }
  return batch;
}

NatBatch plan_iptables_collection(const std::string& network, const std::vector<Attachment>& valid,
                                  const NatTable& known) {
  std::set<std::string, std::less<>> keep;
  for (const Attachment& attachment : valid) {
    keep.insert(own_chain(network, attachment.container_id));
    keep.insert(old_chain(network, attachment.container_id));
  }
  const std::string mark = fmt::format("nat name: \\\"{}\\\" id: ", network);  // dnat or snat
  NatBatch batch(&known);
  for (const std::string& rule : known.rules) {
    const std::string_view chain = jump_of(rule);
    const bool of_container = chain.starts_with("CNI-DN-") || chain.starts_with("CNI-SN-");
    if (of_container && rule.find(mark) != std::string::npos && !keep.contains(chain)) {
      batch.remove_chain(std::string(chain), {});
    }
  }
  return batch;
}

void set_up_iptables_ports(const PortmapConfig& config) {
  for (const Family family : kFamilies) {
    if (config.address(family)) {
      Iptables(family).change(
          {{"POSTROUTING", "PREROUTING", "OUTPUT", kDnatChain, kSetMarkChain, kMasqueradeChain,
            own_chain(config.network, config.container_id)},
           [&](const NatTable* known) { return plan_iptables_ports(config, family, known); }});
    }
  }
}

void check_iptables_ports(const PortmapConfig& config) {
  for (const Family family : kFamilies) {
    if (config.address(family) && !Iptables(family).has(container_rules(config, family))) {
      throw_error(Code::internal, "could not check {} dnat: a rule of chain {} is missing",
                  family == Family::v4 ? "ipv4" : "ipv6",
                  own_chain(config.network, config.container_id));
    }
  }
}

void tear_down_iptables_ports(const PortmapConfig& config) {
  for (const Family family : kFamilies) {
    const Iptables iptables(family);
    const std::string own = own_chain(config.network, config.container_id);
    const std::string old = old_chain(config.network, config.container_id);
    NatPlan plan = {kEntryChains, [&](const NatTable* known) {
                      return plan_iptables_removal(config, family, known);
                    }};
    plan.chains.insert(plan.chains.end(), {own, old});
    if (iptables.has_nft_chain(old)) {
      iptables.change_known(plan);
    } else if (iptables.may_have_chain(own)) {
      iptables.change(plan);
    }
  }
}

void collect_iptables_ports(const std::string& network, const std::vector<Attachment>& valid) {
  for (const Family family : kFamilies) {
    const Iptables iptables(family);
    if (iptables.may_have_chain(kDnatChain)) {
      iptables.change_known({kEntryChains, [&](const NatTable* known) {
                               return plan_iptables_collection(network, valid, *known);
                             }});
    }
  }
}

}  // namespace flannel::cni
