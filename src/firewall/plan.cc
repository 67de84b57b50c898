#include "firewall/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "firewall/rule.h"

namespace flannel {
namespace {

using Verdict = FirewallRule::Verdict;
using Rules = std::vector<FirewallRule>;
using Lines = std::vector<std::string>;

// What kube-proxy marks for its own masquerade: that comes behind ours (kubelet's
// --iptables-masquerade-bit, 14 by default).
constexpr std::uint32_t kMasqueradeMark = 0x4000;

const Prefix& multicast(Family family) {
  static const Prefix v4 = *Prefix::parse("224.0.0.0/4");
  static const Prefix v6 = *Prefix::parse("ff00::/8");
  return family == Family::v4 ? v4 : v6;
}

PrefixMatch in(const Prefix& prefix) {
  return {prefix.masked(), false};
}
PrefixMatch not_in(const Prefix& prefix) {
  return {prefix.masked(), true};
}

Rules masquerade_rules(const FirewallNetwork& our, const FirewallOptions& options) {
  const auto& [network, subnet] = our;
  const Verdict masquerade =
      options.random_fully ? Verdict::masquerade_fully_random : Verdict::masquerade;
  const Verdict leave = Verdict::return_to_caller;
  // Packets to pods of this node keep their source, which network policies go by; the reference's
  // rules for nftables say that of the whole network instead.
  const std::pair from_outside = options.tool == FirewallTool::iptables
                                     ? std::pair(not_in(network), in(subnet))
                                     : std::pair(not_in(subnet), in(network));
  Rules rules = {
      {.mark = kMasqueradeMark, .source = {}, .destination = {}, .verdict = leave},
      {.source = in(subnet), .destination = in(network), .verdict = leave},
      {.source = in(network), .destination = in(subnet), .verdict = leave},
      {.source = from_outside.first, .destination = from_outside.second, .verdict = leave},
  };
  for (const Prefix& excluded : options.excluded) {
    if (excluded.family() == network.family()) {
      rules.push_back({.source = in(network), .destination = in(excluded), .verdict = leave});
    }
  }
  rules.push_back({.source = in(network),
                   .destination = not_in(multicast(network.family())),
                   .verdict = masquerade});
  rules.push_back({.source = not_in(network), .destination = in(network), .verdict = masquerade});
  return rules;
}

Rules forward_rules(const Prefix& network) {
  return {{.source = in(network), .destination = {}, .verdict = Verdict::accept},
          {.source = {}, .destination = in(network), .verdict = Verdict::accept}};
}

Ruleset iptables_table(Family family, const IptablesPlace& place, const Rules& rules) {
  Lines lines = {
      fmt::format(":{} - [0:0]", place.chain),
      fmt::format("-A {} -m comment --comment \"{}\" -j {}", place.from, place.comment,
                  place.chain),
  };
  for (const FirewallRule& rule : rules) {
    lines.push_back(fmt::format("-A {} {}", place.chain, iptables_text(rule, place.comment)));
  }
  return {iptables_key(family, place), std::move(lines)};
}

void add_nft_chain(Lines& lines, std::string_view name, std::string_view comment,
                   std::string_view type, const Rules& rules) {
  lines.insert(lines.end(),
               {fmt::format("\tchain {} {{", name), fmt::format("\t\tcomment \"{}\"", comment),
                fmt::format("\t\ttype {}; policy accept;", type)});
  for (const FirewallRule& rule : rules) {
    lines.push_back("\t\t" + nft_text(rule));
  }
  lines.emplace_back("\t}");
}

Ruleset nft_table(const FirewallNetwork& our, const FirewallOptions& options,
                  std::string_view suffix) {
  const Family family = our.network.family();
  const std::string name = nft_table_name(family, suffix);
  Lines lines = {
      fmt::format("table {} {} {{", family == Family::v4 ? "ip" : "ip6", name),
      fmt::format("\tcomment \"rules for {}\"", name),
  };
  if (options.masquerade) {
    add_nft_chain(lines, kNftChains[0], "chain to manage traffic masquerading by flannel",
                  "nat hook postrouting priority srcnat", masquerade_rules(our, options));
  }
  if (options.masquerade && options.forward_rules) {
    lines.emplace_back();
  }
  if (options.forward_rules) {
    add_nft_chain(lines, kNftChains[1], "chain to accept flannel traffic",
                  "filter hook forward priority filter", forward_rules(our.network));
  }
  lines.emplace_back("}");
  return {nft_key(family, suffix), std::move(lines)};
}

Result<Prefix> parse_one(const std::string& value, std::span<const FirewallNetwork> networks) {
  const std::string quoted = printable(value);
  const Result<Prefix> prefix = Prefix::parse(value);
  if (!prefix) {
    return fail("\"{}\" is no network, as 192.0.2.0/24 would be", quoted);
  }
  if (*prefix != prefix->masked()) {
    return fail("\"{}\" is an address: its network is {}", quoted, prefix->masked().to_text());
  }
  if (prefix->length == 0) {
    return fail("\"{}\" is every address: leave --ip-masq out instead", quoted);
  }
  if (multicast(prefix->family()).contains(*prefix)) {
    return fail("\"{}\" is multicast, which is never masqueraded", quoted);
  }
  for (const FirewallNetwork& our : networks) {
    if (our.network.family() == prefix->family() && our.network.overlaps(*prefix)) {
      return fail("\"{}\" overlaps the network {}", quoted, our.network.to_text());
    }
  }
  return prefix;
}

}  // namespace

Table<Ruleset> plan_firewall(std::span<const FirewallNetwork> networks,
                             const FirewallOptions& options, std::string_view suffix) {
  const auto [nat, filter] = iptables_places(suffix);
  std::vector<Ruleset> rows;
  for (const FirewallNetwork& our : networks) {
    const Family family = our.network.family();
    if (options.tool == FirewallTool::nftables) {
      if (options.masquerade || options.forward_rules) {
        rows.push_back(nft_table(our, options, suffix));
      }
      continue;
    }
    if (options.masquerade) {
      rows.push_back(iptables_table(family, nat, masquerade_rules(our, options)));
    }
    if (options.forward_rules) {
      rows.push_back(iptables_table(family, filter, forward_rules(our.network)));
    }
  }
  return Table<Ruleset>(std::move(rows));
}

Result<std::vector<Prefix>> parse_excluded(std::span<const std::string> values,
                                           std::span<const FirewallNetwork> networks) {
  if (values.size() > kMostExcluded) {
    return fail("{} networks, of which {} can be excluded", values.size(), kMostExcluded);
  }
  std::vector<Prefix> out;
  for (const std::string& value : values) {
    const Result<Prefix> prefix = parse_one(value, networks);
    if (!prefix) {
      return std::unexpected(prefix.error());
    }
    if (std::find(out.begin(), out.end(), *prefix) != out.end()) {
      continue;
    }
    for (const Prefix& other : out) {
      if (other.family() == prefix->family() && other.overlaps(*prefix)) {
        return fail("\"{}\" overlaps \"{}\"", prefix->to_text(), other.to_text());
      }
    }
    out.push_back(*prefix);
  }
  return out;
}

}  // namespace flannel
