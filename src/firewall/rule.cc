#include "firewall/rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace flannel {
namespace {

using Verdict = FirewallRule::Verdict;

struct VerdictText {
  Verdict verdict;
  std::string_view iptables, nft;
};
constexpr std::array kVerdicts = {
    VerdictText{Verdict::accept, "ACCEPT", "accept"},
    VerdictText{Verdict::return_to_caller, "RETURN", "return"},
    VerdictText{Verdict::masquerade, "MASQUERADE", "masquerade"},
    VerdictText{Verdict::masquerade_fully_random, "MASQUERADE --random-fully",
                "masquerade fully-random"},
};

const VerdictText& text_of(Verdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
}

std::string iptables_match(std::string_view option, const std::optional<PrefixMatch>& match) {
  return match
             ? fmt::format("{}{} {} ", match->negated ? "! " : "", option, match->prefix.to_text())
             : "";
}

// nft leaves out the length of a single address.
std::string nft_prefix(const Prefix& prefix) {
  return prefix.length == prefix.ip.bits() ? prefix.ip.to_text() : prefix.to_text();
}

std::string nft_match(std::string_view field, const std::optional<PrefixMatch>& match) {
  return match ? fmt::format("{} {} {}{} ", match->prefix.ip.is_v4() ? "ip" : "ip6", field,
                             match->negated ? "!= " : "", nft_prefix(match->prefix))
               : "";
}

// Takes `word` and the space behind it off the front.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word) || !text.substr(word.size()).starts_with(' ')) {
    return false;
  }
  text.remove_prefix(word.size() + 1);
  return true;
}

std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

std::optional<PrefixMatch> take_match(std::string_view& text, std::string_view field) {
  if (!take(text, fmt::format("ip {}", field)) && !take(text, fmt::format("ip6 {}", field))) {
    return std::nullopt;
  }
  PrefixMatch match;
  match.negated = take(text, "!=");
  const std::string_view word = take_word(text);
  if (const Result<Prefix> prefix = Prefix::parse(word)) {
    match.prefix = *prefix;
  } else if (const Result<IpAddr> address = IpAddr::parse(word)) {
    match.prefix = {*address, static_cast<std::uint8_t>(address->bits())};
  }
  return match;  // one that is none becomes another text
}

bool has_everything(const FirewallRule& rule) {
  const auto is_everything = [](const std::optional<PrefixMatch>& match) {
    return match && match->prefix.length == 0;
  };
  return is_everything(rule.source) || is_everything(rule.destination);
}

std::uint32_t take_mark(std::string_view& text) {
  std::uint32_t mark = 0;
  if (take(text, "meta mark")) {
    const std::string_view word = take_word(text);
    if (word.starts_with("0x")) {
      std::from_chars(word.data() + 2, word.data() + word.size(), mark, 16);
    }
  }
  return mark;
}

}  // namespace

std::string iptables_text(const FirewallRule& rule, std::string_view comment) {
  return fmt::format("{}{}{}-m comment --comment \"{}\" -j {}", iptables_match("-s", rule.source),
                     iptables_match("-d", rule.destination),
                     rule.mark == 0 ? "" : fmt::format("-m mark --mark {0:#x}/{0:#x} ", rule.mark),
                     comment, text_of(rule.verdict).iptables);
}

std::string nft_text(const FirewallRule& rule) {
  return fmt::format("{}{}{}{}",
                     rule.mark == 0 ? "" : fmt::format("meta mark {:#010x} ", rule.mark),
                     nft_match("saddr", rule.source), nft_match("daddr", rule.destination),
                     text_of(rule.verdict).nft);
}

std::optional<FirewallRule> parse_nft_rule(std::string_view text) {
  std::string_view rest = text;
  FirewallRule rule;
  rule.mark = take_mark(rest);
  rule.source = take_match(rest, "saddr");
  rule.destination = take_match(rest, "daddr");
  for (const VerdictText& each : kVerdicts) {
    if (rest == each.nft) {
      rule.verdict = each.verdict;
      return nft_text(rule) == text && !has_everything(rule) ? std::optional(rule) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace flannel
