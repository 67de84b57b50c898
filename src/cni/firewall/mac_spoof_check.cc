#include "cni/firewall/mac_spoof_check.h"

#include <set>

#include "cni/firewall/nft_program.h"

namespace flannel::cni {
namespace {

const std::string kBridgeChain = "bridge nat PREROUTING";

constexpr std::size_t kMostComment = 128;  // of the program's language
constexpr std::string_view kCommentPrefix = "macspoofchk-";

struct Names {
  std::string comment, link_chain, mac_chain;
};

Names names_with(const std::string& id) {
  return {std::string(kCommentPrefix) + id, "cni-br-iface-" + id, "cni-br-iface-" + id + "-mac"};
}

std::string id_of(const Attachment& attachment) {
  return attachment.container_id + "-" + attachment.ifname;
}

Names names_of(const Attachment& attachment) {
  return names_with(nft_word(id_of(attachment), kMostComment - kCommentPrefix.size()));
}

// Also by the names as they are, which Go's plugin gives, however long.
std::string entry_deletions(const Attachment& attachment) {
  const std::string ours = names_of(attachment).comment;
  const std::string plain = names_with(id_of(attachment)).comment;
  return Nft::deletions(
      kBridgeChain, [&](std::string_view comment) { return comment == ours || comment == plain; });
}

}  // namespace

void set_up_mac_spoof_check(const Attachment& attachment, const std::string& host_name,
                            const std::string& mac) {
  const Names names = names_of(attachment);
  // A rule that a DEL did not remove would be for a link that is gone.
  Nft::change(
      entry_deletions(attachment) +
      fmt::format(
          "add table bridge nat\n"
          "add chain {0} {{ type filter hook prerouting priority -300 ; policy accept ; }}\n"
          "add chain bridge nat {1}\n"
          "add chain bridge nat {2}\n"
          "flush chain bridge nat {1}\n"
          "flush chain bridge nat {2}\n"
          "add rule {0} iifname \"{3}\" jump {1} comment \"{5}\"\n"
          "add rule bridge nat {1} jump {2} comment \"{5}\"\n"
          "add rule bridge nat {2} ether saddr {4} return comment \"{5}\"\n"
          "add rule bridge nat {2} drop comment \"{5}\"\n",
          kBridgeChain, names.link_chain, names.mac_chain, host_name, mac, names.comment));
}

void tear_down_mac_spoof_check(const Attachment& attachment) {
  const Names names = names_of(attachment);
  std::string commands = entry_deletions(attachment);
  const Names plain = names_with(id_of(attachment));
  std::set<std::string> chains = {names.link_chain, names.mac_chain};
  if (is_nft_word(plain.link_chain)) {
    chains.insert({plain.link_chain, plain.mac_chain});
  }
  for (const std::string& chain : chains) {
    if (Nft::has_chain("bridge nat " + chain)) {
      commands += fmt::format("flush chain bridge nat {0}\ndelete chain bridge nat {0}\n", chain);
    }
  }
  if (!commands.empty()) {
    Nft::change(commands);
  }
}

}  // namespace flannel::cni
