#include "cni/masquerade.h"

#include <algorithm>
#include <set>

#include "cni/error.h"
#include "cni/hash_name.h"
#include "cni/iptables.h"
#include "cni/nft.h"

namespace flannel::cni {
namespace {

constexpr std::string_view kChainPrefix = "CNI-";
constexpr std::size_t kHashLength = 16;
constexpr std::size_t kMostComment = 128;  // of nftables
const std::string kNftChain = "inet cni_plugins_masquerade masq_checks";

std::string iptables_chain(const std::string& network, const Attachment& attachment) {
  return chain_name(kChainPrefix, network, attachment.container_id);
}

std::string iptables_comment(const std::string& network, const std::string& container_id) {
  return fmt::format("name: \"{}\" id: \"{}\"", network, container_id);
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
                     attachment.ifname, attachment.container_id)
      .substr(0, kMostComment);
}

void set_up_iptables(const Masquerade& masquerade) {
  const std::string chain = iptables_chain(masquerade.network, masquerade.attachment);
  const std::string comment =
      iptables_comment(masquerade.network, masquerade.attachment.container_id);
  for (const Family family : {Family::v4, Family::v6}) {
    std::vector<std::string> lines = {fmt::format(":{} - [0:0]", chain)};
    const std::string multicast = family == Family::v4 ? "224.0.0.0/4" : "ff00::/8";
    for (const Prefix& address : masquerade.addresses) {
      if (address.family() != family) {
        continue;
      }
      lines.push_back(rule_line("-A", chain,
                                {"-d", address.masked().to_text(), "-m", "comment", "--comment",
                                 comment, "-j", "ACCEPT"}));
      lines.push_back(rule_line(
          "-A", chain,
          {"!", "-d", multicast, "-m", "comment", "--comment", comment, "-j", "MASQUERADE"}));
      lines.push_back(rule_line(
          "-A", "POSTROUTING",
          {"-s", address.ip.to_text(), "-m", "comment", "--comment", comment, "-j", chain}));
    }
    if (lines.size() > 1) {
      Iptables(family).change(lines);
    }
  }
}

void set_up_nft(const Masquerade& masquerade) {
  std::string commands =
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
  for (const Prefix& address : masquerade.addresses) {
    commands += fmt::format(
        "add rule {0} {1} saddr == {2} {1} daddr != {3} masquerade comment \"{4}\"\n", kNftChain,
        address.ip.is_v4() ? "ip" : "ip6", address.ip.to_text(), address.masked().to_text(),
        nft_comment(masquerade.network, masquerade.attachment));
  }
  Nft::change(commands);
}

// Of rules with a comment that begins with `prefix`, those that `keep` does not name.
void remove_nft(const std::string& prefix, const std::set<std::string>& keep) {
  const std::vector<std::string> handles = Nft::handles(kNftChain, [&](std::string_view comment) {
    return comment.starts_with(prefix) && !keep.contains(std::string(comment));
  });
  if (!handles.empty()) {
    Nft::change(deletions(kNftChain, handles));
  }
}

void remove_iptables(Family family, const std::vector<std::string>& chains) {
  const Iptables iptables(family);
  const std::vector<std::string> rules = iptables.list("POSTROUTING");
  std::vector<std::string> lines;
  for (const std::string& chain : chains) {
    const bool used = std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
      return rule.ends_with(" -j " + chain);
    });
    if (used) {
      const std::vector<std::string> removal = removal_of_chain(rules, chain);
      lines.insert(lines.end(), removal.begin(), removal.end());
    }
  }
  if (!lines.empty()) {
    iptables.change(lines);
  }
}

// The chains that POSTROUTING jumps to for containers of the network, but those in `keep`.
std::vector<std::string> chains_of(Family family, const std::string& network,
                                   const std::set<std::string>& keep) {
  const std::string mark = fmt::format("name: \\\"{}\\\" id: ", network);
  std::vector<std::string> chains;
  for (const std::string& rule : Iptables(family).list("POSTROUTING")) {
    const std::size_t jump = rule.rfind(" -j ");
    if (jump == std::string::npos || rule.find(mark) == std::string::npos) {
      continue;
    }
    const std::string chain = rule.substr(jump + 4);
    if (chain.starts_with(kChainPrefix) && !keep.contains(chain)) {
      chains.push_back(chain);
    }
  }
  return chains;
}

}  // namespace

void set_up_masquerade(const Masquerade& masquerade) {
  const bool prefer_nft = !Iptables(Family::v4).installed() && Nft::installed();
  const std::string backend = masquerade.backend.value_or(prefer_nft ? "nftables" : "iptables");
  if (backend == "iptables") {
    set_up_iptables(masquerade);
  } else if (backend == "nftables") {
    set_up_nft(masquerade);
  } else {
    throw_error(Code::invalid_config, "unknown ipmasq backend \"{}\"", backend);
  }
}

void tear_down_masquerade(const std::string& network, const Attachment& attachment) {
  for (const Family family : {Family::v4, Family::v6}) {
    remove_iptables(family, {iptables_chain(network, attachment)});
  }
  remove_nft(nft_hash(network, attachment), {});
}

void collect_masquerade(const std::string& network, const std::vector<Attachment>& valid) {
  std::set<std::string> chains, comments;
  for (const Attachment& attachment : valid) {
    chains.insert(iptables_chain(network, attachment));
    comments.insert(nft_comment(network, attachment));
  }
  for (const Family family : {Family::v4, Family::v6}) {
    remove_iptables(family, chains_of(family, network, chains));
  }
  remove_nft(nft_network_hash(network), comments);
}

}  // namespace flannel::cni
