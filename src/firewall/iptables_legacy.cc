#include "firewall/iptables_legacy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace flannel {
namespace {

using netlink::Bytes;

// What the two families call differently.
struct V4 {
  using Entry = ipt_entry;
  using Info = ipt_getinfo;
  using Entries = ipt_get_entries;
  static constexpr int kFamily = AF_INET, kLevel = SOL_IP;
  static constexpr int kGetInfo = IPT_SO_GET_INFO, kGetEntries = IPT_SO_GET_ENTRIES;
  static constexpr const char* kNames = "/proc/net/ip_tables_names";
};
struct V6 {
  using Entry = ip6t_entry;
  using Info = ip6t_getinfo;
  using Entries = ip6t_get_entries;
  static constexpr int kFamily = AF_INET6, kLevel = SOL_IPV6;
  static constexpr int kGetInfo = IP6T_SO_GET_INFO, kGetEntries = IP6T_SO_GET_ENTRIES;
  static constexpr const char* kNames = "/proc/net/ip6_tables_names";
};

constexpr int kTriesAtRead = 5;

// No such file: no table of this family has been made in any network namespace.
bool has_table(const char* names, std::string_view table) {
  const UniqueFd file(::open(names, O_RDONLY | O_CLOEXEC));
  if (!file && errno != ENOENT) {
    throw std::system_error(errno, std::generic_category(), names);
  }
  const Result<std::string> text = file ? read_all(file.get()) : std::string();
  return text && ("\n" + *text).find(fmt::format("\n{}\n", table)) != std::string::npos;
}

template <class V>
std::optional<LegacyTable> read_table(std::string_view table) {
  if (!has_table(V::kNames, table)) {
    return std::nullopt;
  }
  const UniqueFd fd(::socket(V::kFamily, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (int left = kTriesAtRead; left > 0; --left) {
    typename V::Info info{};
    table.copy(info.name, sizeof info.name - 1);
    socklen_t size = sizeof info;
    if (::getsockopt(fd.get(), V::kLevel, V::kGetInfo, &info, &size) != 0) {
      break;
    }
    // The kernel wants the exact size: after another's change it says EAGAIN.
    constexpr std::size_t kHead = offsetof(typename V::Entries, entrytable);
    std::vector<std::uint8_t> all(kHead + info.size);
    std::memcpy(all.data(), info.name, sizeof info.name);
    std::memcpy(all.data() + offsetof(typename V::Entries, size), &info.size, sizeof info.size);
    size = static_cast<socklen_t>(all.size());
    if (::getsockopt(fd.get(), V::kLevel, V::kGetEntries, all.data(), &size) == 0) {
      all.erase(all.begin(), all.begin() + kHead);
      const int hook = iptables_from(table) == "FORWARD" ? NF_INET_FORWARD : NF_INET_POST_ROUTING;
      return LegacyTable{std::move(all), info.hook_entry[hook], info.underflow[hook]};
    }
    if (errno != EAGAIN) {
      break;
    }
  }
  if (errno == ENOENT) {
    return std::nullopt;
  }
  throw std::system_error(errno, std::generic_category(),
                          fmt::format("iptables: table {} cannot be read", table));
}

// An entry and what lies behind its header: matches, then the target.
struct Rule {
  std::size_t offset = 0;
  Bytes header;  // what packets are compared with, without counters
  Bytes matches;
  std::string_view target;  // empty: a verdict
  Bytes target_data;

  std::optional<std::int32_t> verdict() const {
    std::int32_t value = 0;
    if (!target.empty() || target_data.size() < sizeof value) {
      return std::nullopt;
    }
    std::memcpy(&value, target_data.data(), sizeof value);
    return value;
  }
  // The name of the chain that begins behind it.
  std::optional<std::string_view> begins_chain() const {
    return target == XT_ERROR_TARGET ? std::optional(netlink::Attribute{0, target_data}.text())
                                     : std::nullopt;
  }
};

// Takes the entry at `offset`; nothing at the end, or where it does not fit into the table.
template <class Entry>
std::optional<Rule> take_rule(Bytes entries, std::size_t& offset) {
  Entry entry;
  const std::size_t room = entries.size() - offset;
  if (room < sizeof entry) {
    return std::nullopt;
  }
  const Bytes bytes = entries.subspan(offset);
  std::memcpy(&entry, bytes.data(), sizeof entry);
  xt_entry_target target;
  if (entry.next_offset > room || entry.target_offset < sizeof entry ||
      entry.target_offset + sizeof target > entry.next_offset) {
    return std::nullopt;
  }
  const Bytes target_bytes =
      bytes.subspan(entry.target_offset, entry.next_offset - entry.target_offset);
  std::memcpy(&target, target_bytes.data(), sizeof target);
  const char* name =
      reinterpret_cast<const char*>(target_bytes.data()) + offsetof(xt_entry_target, u.user.name);
  const Rule rule{
      .offset = offset,
      .header = bytes.first(offsetof(Entry, nfcache)),
      .matches = bytes.subspan(sizeof entry, entry.target_offset - sizeof entry),
      .target = {name, ::strnlen(name, sizeof target.u.user.name)},
      .target_data = target_bytes.subspan(sizeof target),
  };
  offset += entry.next_offset;
  return rule;
}

void append_part(std::string& out, Bytes bytes) {
  out += fmt::format("{}:", bytes.size());
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

bool has_comment(Bytes matches, std::string_view comment) {
  constexpr std::size_t kName = offsetof(xt_entry_match, u.user.name);
  xt_entry_match match;
  while (matches.size() >= sizeof match) {
    std::memcpy(&match, matches.data(), sizeof match);
    const std::size_t size = match.u.match_size;
    if (size < sizeof match || size > matches.size()) {
      break;
    }
    const netlink::Attribute name{0, matches.subspan(kName, sizeof match.u.user.name)};
    const netlink::Attribute data{0, matches.subspan(sizeof match, size - sizeof match)};
    if (name.text() == "comment" && data.text() == comment) {
      return true;
    }
    matches = matches.subspan(size);
  }
  return false;
}

void append_rule(std::string& out, const Rule& rule, bool jumps_to_us) {
  append_part(out, rule.header);
  append_part(out, rule.matches);
  out += rule.target;
  // The place that is jumped to moves with the rules of others.
  if (jumps_to_us) {
    out += "jump";
  } else {
    append_part(out, rule.target_data);
  }
}

// Where a chain's first rule is; 0 where there is none, as no entry that is jumped to is there.
template <class Entry>
std::size_t first_of(std::string_view chain, Bytes entries) {
  std::size_t offset = 0, first = 0;
  while (const std::optional<Rule> rule = take_rule<Entry>(entries, offset)) {
    if (rule->begins_chain() == chain) {
      first = offset;
    }
  }
  return first;
}

template <class Entry>
OurRules our_rules(const IptablesPlace& place, const LegacyTable& table) {
  const std::size_t first = first_of<Entry>(place.chain, table.entries);
  std::size_t offset = 0;
  OurRules out;
  bool inside = false;
  std::string chain;  // its rules, the return at its end included
  std::size_t chain_rules = 0;
  while (const std::optional<Rule> rule = take_rule<Entry>(table.entries, offset)) {
    if (const std::optional<std::string_view> name = rule->begins_chain()) {
      inside = *name == place.chain;
      continue;
    }
    const bool jumps_to_us = first != 0 && rule->verdict() == static_cast<std::int32_t>(first);
    if (inside) {
      append_rule(chain, *rule, false);
      ++chain_rules;
    } else if (table.is_in_from(rule->offset) &&
               (jumps_to_us || has_comment(rule->matches, place.comment))) {
      out.bytes += "elsewhere ";
      append_rule(out.bytes, *rule, jumps_to_us);
      ++out.jumps;
    }
  }
  if (first != 0) {
    out.bytes += "chain " + chain;
    out.rules = chain_rules - std::min<std::size_t>(chain_rules, 1);
  }
  return out;
}

const ipt_ip& header_of(const ipt_entry& entry) {
  return entry.ip;
}
const ip6t_ip6& header_of(const ip6t_entry& entry) {
  return entry.ipv6;
}

template <class Address>
bool lie_in(const PodPackets& pods, const Address& address, const Address& mask) {
  const auto bytes = [](const Address& of) {
    return Bytes(reinterpret_cast<const std::uint8_t*>(&of), sizeof of);
  };
  unsigned length = 0;
  for (const std::uint8_t byte : bytes(mask)) {
    length += static_cast<unsigned>(std::popcount(byte));
  }
  return length != 0 &&
         pods.lie_in({*IpAddr::from_bytes(bytes(address)), static_cast<std::uint8_t>(length)});
}

bool pass(const PodPackets& pods, const char (&device)[IFNAMSIZ]) {
  return pods.pass({device, ::strnlen(device, sizeof device)});
}

template <class Entry>
std::vector<ForwardRule> forward_rules(const LegacyTable& table, const PodPackets& pods) {
  const auto first = static_cast<std::int32_t>(first_of<Entry>(pods.our_chain, table.entries));
  std::vector<ForwardRule> out;
  bool is_ours = false;
  std::size_t offset = 0;
  while (const std::optional<Rule> rule = take_rule<Entry>(table.entries, offset)) {
    is_ours = rule->begins_chain().value_or(is_ours ? pods.our_chain : "") == pods.our_chain;
    Entry entry;
    std::memcpy(&entry, table.entries.data() + rule->offset, sizeof entry);
    const auto& header = header_of(entry);
    const bool all = rule->matches.empty() &&
                     std::ranges::all_of(rule->header, [](std::uint8_t byte) { return byte == 0; });
    out.push_back({
        .of_chain = table.is_in_from(rule->offset),
        .drops_all = all && (rule->target == "REJECT" || rule->verdict() == -NF_DROP - 1),
        .jumps_to_us = first != 0 && rule->verdict() == first,
        .names_pods = !is_ours && (lie_in(pods, header.src, header.smsk) ||
                                   lie_in(pods, header.dst, header.dmsk) ||
                                   pass(pods, header.iniface) || pass(pods, header.outiface)),
    });
  }
  return out;
}

}  // namespace

std::vector<ForwardRule> legacy_forward_rules(Family family, const LegacyTable& table,
                                              const PodPackets& pods) {
  return family == Family::v4 ? forward_rules<V4::Entry>(table, pods)
                              : forward_rules<V6::Entry>(table, pods);
}

bool has_legacy_table(Family family, std::string_view table) {
  return has_table(family == Family::v4 ? V4::kNames : V6::kNames, table);
}

std::optional<LegacyTable> read_legacy_table(Family family, std::string_view table) {
  return family == Family::v4 ? read_table<V4>(table) : read_table<V6>(table);
}

LegacyTables::LegacyTables()
    : names_{UniqueFd(::open(V4::kNames, O_RDONLY | O_CLOEXEC)),
             UniqueFd(::open(V6::kNames, O_RDONLY | O_CLOEXEC))} {}

bool LegacyTables::any() const {
  constexpr std::array kPaths = {V4::kNames, V6::kNames};
  for (std::size_t i = 0; i < names_.size(); ++i) {
    char first = 0;
    const ssize_t got = ::pread(names_[i].get(), &first, sizeof first, 0);
    // The module may have come since then, or gone and come.
    if (got < 0 ? !read_file(kPaths[i]).value_or("").empty() : got > 0) {
      return true;
    }
  }
  return false;
}

OurRules our_legacy_rules(Family family, const IptablesPlace& place, const LegacyTable& table) {
  return family == Family::v4 ? our_rules<V4::Entry>(place, table)
                              : our_rules<V6::Entry>(place, table);
}

}  // namespace flannel
