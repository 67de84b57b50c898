#include "cni/firewall/nft_program.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <sstream>
#include <utility>

#include "base/printable.h"
#include "cni/firewall/iptables_nat.h"
#include "firewall/hash_name.h"
#include "firewall/iptables_program.h"
#include "firewall/nft_message.h"
#include "firewall/nft_rule.h"
#include "kernel/netlink_socket.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

constexpr std::size_t kMostOfComplaint = 1000;  // characters that are quoted of it

struct ChainName {
  std::string family, table, chain;
};

ChainName parse_chain(const std::string& text) {
  ChainName name;
  std::istringstream(text) >> name.family >> name.table >> name.chain;
  return name;
}

nfgenmsg header_of(const ChainName& name) {
  static constexpr std::array<std::pair<std::string_view, std::uint8_t>, 4> kFamilies = {
      {{"inet", NFPROTO_INET},
       {"ip", NFPROTO_IPV4},
       {"bridge", NFPROTO_BRIDGE},
       {"ip6", NFPROTO_IPV6}}};
  for (const auto& [text, family] : kFamilies) {
    if (text == name.family) {
      return nft_header(family);
    }
  }
  return nft_header(NFPROTO_UNSPEC);
}

std::string program() {
  const std::optional<std::string> path = find_program("nft", program_folders());
  if (!path) {
    throw std::runtime_error("failed to locate nft");
  }
  return *path;
}

std::vector<NftRule> list_rules(const std::string& chain,
                                const std::function<bool(std::string_view)>& matches) {
  if (!Nft::has_chain(chain)) {
    return {};
  }
  const ChainName name = parse_chain(chain);
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETRULE), 0, header_of(name));
  list.put_text(NFTA_RULE_TABLE, name.table);
  list.put_text(NFTA_RULE_CHAIN, name.chain);
  return socket.dump<NftRule>(list, "rules", [&](const MessageView& message) {
    Bytes rest = message.payload;
    std::optional<NftRule> rule;
    if (netlink::take_header<nfgenmsg>(rest)) {
      rule = decode_nft_rule(rest);
    }
    // Old kernels list the rules of all chains.
    const bool wanted =
        rule && rule->table == name.table && rule->chain == name.chain && matches(rule->comment);
    return wanted ? rule : std::nullopt;
  });
}

}  // namespace

bool is_nft_word(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  });
}

std::string nft_word(std::string_view name, std::size_t most) {
  constexpr std::size_t kHashLength = 16;
  if (is_nft_word(name) && name.size() <= most) {
    return std::string(name);
  }
  std::string out;
  for (const char c : name) {
    out += is_nft_word({&c, 1}) ? std::string(1, c)
                                : fmt::format("_{:02X}", static_cast<unsigned char>(c));
  }
  return out.substr(0, most - kHashLength - 1) + "-" + hash_name("", name, kHashLength);
}

bool Nft::installed() {
  return find_program("nft", program_folders()).has_value();
}

void Nft::change(const std::string& commands) {
  const ProcessOutput output = run_process(program(), {"-f", "-"}, commands);
  if (output.status != 0) {
    throw std::runtime_error(fmt::format("nft: {}", printable(output.err, kMostOfComplaint)));
  }
}

bool Nft::has_chain(const std::string& chain) {
  const ChainName name = parse_chain(chain);
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  Batch ask;
  ask.ask(nft_message_type(NFT_MSG_GETCHAIN), header_of(name));
  ask.put_text(NFTA_CHAIN_TABLE, name.table);
  ask.put_text(NFTA_CHAIN_NAME, name.chain);
  return socket.transact(ask)[0].ok();
}

std::string Nft::deletions(const std::string& chain,
                           const std::function<bool(std::string_view)>& matches) {
  std::string out;
  for (const NftRule& rule : list_rules(chain, matches)) {
    out += fmt::format("delete rule {} handle {}\n", chain, rule.handle);
  }
  return out;
}

std::size_t Nft::count(const std::string& chain,
                       const std::function<bool(std::string_view)>& matches) {
  return list_rules(chain, matches).size();
}

std::string preferred_backend() {
  return !Iptables(Family::v4).installed() && Nft::installed() ? "nftables" : "iptables";
}

}  // namespace flannel::cni
