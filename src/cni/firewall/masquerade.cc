#include "cni/firewall/masquerade.h"

#include <algorithm>
#include <set>

#include "cni/firewall/iptables_nat.h"
#include "cni/firewall/nft_program.h"
#include "cni/protocol/error.h"
#include "firewall/hash_name.h"

namespace flannel::cni {
namespace {

constexpr std::string_view kChainPrefix = "CNI-";
constexpr std::size_t kHashLength = 16;
constexpr std::size_t kMostRuleComment = 128;  // of nftables
const std::string kNftChain = "inet cni_plugins_masquerade masq_checks";

std::string iptables_chain(const std::string& network, const Attachment& attachment) {
  return chain_name(kChainPrefix, network, attachment.container_id);
}

std::string iptables_comment(const std::string& network, const std::string& container_id) {
  return iptables_comment_of(fmt::format("name: \"{}\" id: \"{}\"", network, container_id));
}

std::string nft_network_hash(const std::string& network) {
  return hash_name("", network, kHashLength);
}

std::string nft_hash(const std::string& network, const Attachment& attachment) {
  return nft_network_hash(network) + "-" +
         hash_name("", attachment.ifname + ":" + attachment.container_id, kHashLength);
}

std::string nft_comment(const std::string& network, const Attachment& attachment) {
  return fmt::format("{}, net: {}, if: {}, id: {}", nft_hash(network, attachment), network,
                     nft_word(attachment.ifname, kMostRuleComment), attachment.container_id)
      .substr(0, kMostRuleComment);
}

constexpr const char* kNatChain = "POSTROUTING";

// What leads to the container's chain.
NatRule entry_rule(const std::string& network, const std::string& container_id,
                   const IpAddr& address) {
  const Prefix alone = {address, static_cast<std::uint8_t>(address.bits())};
  return {
      kNatChain,
      {"-s", alone.to_text(), "-m", "comment", "--comment", iptables_comment(network, container_id),
       "-j", chain_name(kChainPrefix, network, container_id)}};
}

// Two interfaces of a container share its chain, so one that is there is added to.
NatBatch plan_iptables(const Masquerade& masquerade, Family family, const NatTable* known) {
  const std::string chain = iptables_chain(masquerade.network, masquerade.attachment);
  const std::string comment =
      iptables_comment(masquerade.network, masquerade.attachment.container_id);
  const std::string multicast = family == Family::v4 ? "224.0.0.0/4" : "ff00::/8";
  NatBatch batch(known);
  const auto ensure = [&](RuleWords match, const std::string& target) {
    match.insert(match.end(), {"-m", "comment", "--comment", comment, "-j", target});
    batch.ensure_rule({chain, std::move(match)}, Expected::absent);
  };
  for (const Prefix& address : masquerade.addresses) {
    if (address.family() == family) {
      batch.ensure_chain(chain, Expected::absent);
      ensure({"-d", address.masked().to_text()}, "ACCEPT");
      ensure({"!", "-d", multicast}, "MASQUERADE");
      batch.ensure_rule(
          entry_rule(masquerade.network, masquerade.attachment.container_id, address.ip),
          Expected::absent);
    }
  }
  return batch;
}

NatBatch plan_iptables_removal(const std::string& chain, const std::vector<NatRule>& entries,
                               const NatTable* known) {
  NatBatch batch(known);
  for (const NatRule& entry : entries) {
    batch.remove_rule(entry);
  }
  if (entries.empty() || !batch.has_jump_to(chain)) {
    batch.remove_chain(chain, {});
  }
  return batch;
}

void set_up_iptables(const Masquerade& masquerade) {
  for (const Family family : kFamilies) {
    const bool any = std::any_of(masquerade.addresses.begin(), masquerade.addresses.end(),
                                 [&](const Prefix& address) { return address.family() == family; });
    if (any) {
      Iptables(family).change(
          {{kNatChain, iptables_chain(masquerade.network, masquerade.attachment)},
           [&](const NatTable* known) { return plan_iptables(masquerade, family, known); }});
    }
  }
}

// Of the rules with a comment that begins with `prefix`, those whose container `keep` does not
// name: by the hash that each comment begins with, since the rest may be spelled in several ways.
std::string nft_deletions(const std::string& prefix, const std::set<std::string>& keep) {
  return Nft::deletions(kNftChain, [&](std::string_view comment) {
    return comment.starts_with(prefix) &&
           !keep.contains(std::string(comment.substr(0, comment.find(','))));
  });
}

void set_up_nft(const Masquerade& masquerade) {
  const std::string commands =
      "add table inet cni_plugins_masquerade { comment \"Masquerading for plugins from "
      "github.com/containernetworking/plugins\" ; }\n"
      "add chain " +
      kNftChain +
      " { comment \"Masquerade traffic from certain IPs to any (non-multicast) IP outside their "
      "subnet\" ; }\n"
      "add chain inet cni_plugins_masquerade postrouting { type nat hook postrouting priority 100 "
      "; }\n"
      "flush chain inet cni_plugins_masquerade postrouting\n"
      "add rule inet cni_plugins_masquerade postrouting ip daddr == 224.0.0.0/4 return\n"
      "add rule inet cni_plugins_masquerade postrouting ip6 daddr == ff00::/8 return\n"
      "add rule inet cni_plugins_masquerade postrouting goto masq_checks\n";
  std::string rules;
  for (const Prefix& address : masquerade.addresses) {
    rules += fmt::format(
        "add rule {0} {1} saddr == {2} {1} daddr != {3} masquerade comment \"{4}\"\n", kNftChain,
        address.ip.is_v4() ? "ip" : "ip6", address.ip.to_text(), address.masked().to_text(),
        nft_comment(masquerade.network, masquerade.attachment));
  }
  // What a DEL did not remove.
  Nft::change(commands + nft_deletions(nft_hash(masquerade.network, masquerade.attachment), {}) +
              rules);
}

// The rules of the network's containers away, but those of `keep`.
NatBatch plan_iptables_collection(const std::string& network, const std::set<std::string>& keep,
                                  const NatTable& known) {
  const std::string mark = fmt::format(" --comment \"name: \\\"{}\\\" id: ", network);
  NatBatch batch(&known);
  for (const std::string& rule : known.rules) {
    const std::string chain(jump_of(rule));
    if (chain.starts_with(kChainPrefix) && rule.find(mark) != std::string::npos &&
        !keep.contains(chain)) {
      batch.remove_chain(chain, {});
    }
  }
  return batch;
}

void remove_nft(const std::string& prefix, const std::set<std::string>& keep) {
  const std::string deletions = nft_deletions(prefix, keep);
  if (!deletions.empty()) {
    Nft::change(deletions);
  }
}

}  // namespace

void set_up_masquerade(const Masquerade& masquerade) {
  const std::string backend = masquerade.backend.value_or(preferred_backend());
  if (backend == "iptables") {
    set_up_iptables(masquerade);
  } else if (backend == "nftables") {
    set_up_nft(masquerade);
  } else {
    throw_error(Code::invalid_config, "unknown ipmasq backend \"{}\"", backend);
  }
}

void tear_down_masquerade(const std::string& network, const Attachment& attachment,
                          const std::vector<IpAddr>& addresses) {
  for (const Family family : kFamilies) {
    const std::string chain = iptables_chain(network, attachment);
    std::vector<NatRule> entries;
    for (const IpAddr& address : addresses) {
      if (address.family() == family) {
        entries.push_back(entry_rule(network, attachment.container_id, address));
      }
    }
    const NatPlan plan = {{kNatChain, chain}, [&](const NatTable* known) {
                            return plan_iptables_removal(chain, entries, known);
                          }};
    const Iptables iptables(family);
    if (!iptables.may_have_chain(chain)) {
      continue;
    }
    if (entries.empty()) {
      iptables.change_known(plan);
    } else {
      iptables.change(plan);
    }
  }
  remove_nft(nft_hash(network, attachment), {});
}

void collect_masquerade(const std::string& network, const std::vector<Attachment>& valid) {
  std::set<std::string> chains, hashes;
  for (const Attachment& attachment : valid) {
    chains.insert(iptables_chain(network, attachment));
    hashes.insert(nft_hash(network, attachment));
  }
  for (const Family family : kFamilies) {
    if (Iptables(family).may_have_chain(kNatChain)) {
      Iptables(family).change_known({{kNatChain}, [&](const NatTable* known) {
                                       return plan_iptables_collection(network, chains, *known);
                                     }});
    }
  }
  remove_nft(nft_network_hash(network), hashes);
}

}  // namespace flannel::cni
