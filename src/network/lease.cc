#include "network/lease.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/hash.h"
#include "base/printable.h"
#include "network/backend_options.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr Prefix kNoV4{IpAddr::from_number(Family::v4, 0), 0};

std::string key_part(const Prefix& prefix) {
  return fmt::format("{}-{}", prefix.ip.to_text(), prefix.length);
}

// `ADDRESS-LENGTH` with a length up to `longest`; nothing where it is none.
std::optional<Prefix> parse_part(std::string_view text, Family family, unsigned longest) {
  const std::size_t dash = text.rfind('-');
  unsigned length = 0;
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view digits = text.substr(dash + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), length);
  const Result<IpAddr> ip = IpAddr::parse(text.substr(0, dash));
  if (error != std::errc() || end != digits.end() || length > longest || !ip ||
      ip->family() != family) {
    return std::nullopt;
  }
  return Prefix{*ip, static_cast<std::uint8_t>(length)}.masked();
}

// The last four numbers with dots between them that end at `end`.
std::string_view last_quad(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  for (int dots = 0; begin > 0; --begin) {
    const char c = text[begin - 1];
    dots += c == '.' ? 1 : 0;
    if (dots == 4 || (c != '.' && (c < '0' || c > '9'))) {
      break;
    }
  }
  return text.substr(begin, end - begin);
}

std::optional<LeaseKey> find_key(std::string_view text) {
  const std::size_t ampersand = text.rfind('&');
  const bool has_v6 =
      ampersand != std::string_view::npos &&
      text.find_first_not_of("0123456789abcdef:-", ampersand + 1) == std::string_view::npos;
  const std::string_view v4_text = has_v6 ? text.substr(0, ampersand) : text;
  const std::size_t dash = v4_text.rfind('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view quad = last_quad(v4_text, dash);
  const std::optional<Prefix> v4 = parse_part(
      v4_text.substr(static_cast<std::size_t>(quad.data() - v4_text.data())), Family::v4, 31);
  const std::optional<Prefix> v6 =
      has_v6 ? parse_part(text.substr(ampersand + 1), Family::v6, 127) : std::nullopt;
  if (!v4 || (has_v6 && !v6) || (v4 == kNoV4 && !v6)) {
    return std::nullopt;
  }
  return LeaseKey{v4 == kNoV4 ? std::nullopt : v4, v6};
}

Result<std::optional<IpAddr>> read_address(const json::object& object, std::string_view name,
                                           Family family) {
  const Result<std::string> text = BackendOptions(object).text(name, "");
  if (!text) {
    return std::unexpected(text.error());
  }
  if (find_field(object, name) == nullptr) {
    return std::nullopt;
  }
  const Result<IpAddr> ip = IpAddr::parse(*text);
  if (!ip || ip->family() != family) {
    return fail("{} \"{}\": invalid IP address", name, printable(*text));
  }
  return ip->is_unspecified() ? std::nullopt : std::optional(*ip);
}

std::string read_data(const json::object& object, std::string_view name) {
  const json::value* data = find_field(object, name);
  return data == nullptr ? std::string() : json::serialize(*data);
}

}  // namespace

std::string to_text(const LeaseKey& key) {
  const std::string v4 = key_part(key.v4.value_or(kNoV4));
  return key.v6 ? v4 + "&" + key_part(*key.v6) : v4;
}

Result<LeaseKey> parse_lease_key(std::string_view text) {
  const std::optional<LeaseKey> key = find_key(text);
  return key ? Result<LeaseKey>(*key) : fail("{}: not a subnet key", printable(text));
}

bool is_text_of(std::string_view text, const LeaseKey& key) {
  return text == to_text(key);
}

std::string to_json(const LeaseAttrs& attrs) {
  std::string out = fmt::format(
      R"({{"PublicIP":"{}","PublicIPv6":{})", attrs.public_ip.value_or(IpAddr()).to_text(),
      attrs.public_ipv6 ? fmt::format("\"{}\"", attrs.public_ipv6->to_text()) : "null");
  if (!attrs.backend_type.empty()) {
    out += R"(,"BackendType":)" + json::serialize(json::value(attrs.backend_type));
  }
  if (!attrs.backend_data.empty()) {
    out += R"(,"BackendData":)" + attrs.backend_data;
  }
  if (!attrs.backend_v6_data.empty()) {
    out += R"(,"BackendV6Data":)" + attrs.backend_v6_data;
  }
  return out + "}";
}

Result<LeaseAttrs> parse_lease_attrs(std::string_view text) {
  json::monotonic_resource memory;
  boost::system::error_code error;
  const json::value document = json::parse({text.data(), text.size()}, error, &memory);
  const json::object* object = document.if_object();
  if (error || object == nullptr) {
    return fail("not a JSON object");
  }
  const Result<std::optional<IpAddr>> v4 = read_address(*object, "PublicIP", Family::v4);
  if (!v4) {
    return std::unexpected(v4.error());
  }
  const Result<std::optional<IpAddr>> v6 = read_address(*object, "PublicIPv6", Family::v6);
  if (!v6) {
    return std::unexpected(v6.error());
  }
  Result<std::string> type = BackendOptions(*object).text("BackendType", "");
  if (!type) {
    return std::unexpected(type.error());
  }
  return LeaseAttrs{*v4, *v6, std::move(*type), read_data(*object, "BackendData"),
                    read_data(*object, "BackendV6Data")};
}

Result<Lease> read_lease(std::string_view key, std::string_view value) {
  const Result<LeaseKey> parsed = parse_lease_key(key);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  if (!is_text_of(key, *parsed)) {
    return fail("not the key of {}, which is {}", subnets_text(*parsed), to_text(*parsed));
  }
  if (value.size() > kMostLeaseValue) {
    return fail("a value of over {} kB is none of a lease", kMostLeaseValue >> 10);
  }
  Result<LeaseAttrs> attrs = parse_lease_attrs(value);
  if (!attrs) {
    return std::unexpected(attrs.error());
  }
  return Lease{*parsed, std::move(*attrs), std::nullopt};
}

bool is_same_node(const LeaseKey& key, const LeaseAttrs& a, const LeaseAttrs& b) {
  return (!key.v4 || a.public_ip == b.public_ip) && (!key.v6 || a.public_ipv6 == b.public_ipv6);
}

std::string subnets_text(const LeaseKey& key) {
  if (key.v4 && key.v6) {
    return key.v4->to_text() + ", " + key.v6->to_text();
  }
  return key.v4 ? key.v4->to_text() : key.v6 ? key.v6->to_text() : "no subnet";
}

std::string holder_text(const Lease& lease) {
  const std::optional<IpAddr>& address =
      lease.key.v4 ? lease.attrs.public_ip : lease.attrs.public_ipv6;
  return address ? address->to_text() : "a node without an address";
}

std::optional<Prefix> overlap(const LeaseKey& key, const LeaseKey& other) {
  for (const Family family : kFamilies) {
    const std::optional<Prefix>& a = key.family(family);
    const std::optional<Prefix>& b = other.family(family);
    if (a && b && a->overlaps(*b)) {
      return b;
    }
  }
  return std::nullopt;
}

std::uint64_t bad_digest(std::string_view key) {
  return stable_hash(key);
}

void add_bad_entry(LeaseUpdate& update, BadEntry entry) {
  if (update.bad.size() < kMostBadEntries) {
    update.bad.push_back(std::move(entry));
  } else if (update.more_bad.size() < kMostUnnamedBad) {
    update.more_bad.push_back(bad_digest(entry.key));
  }
}

void add_bad(LeaseUpdate& update, std::string_view key, std::string_view reason) {
  add_bad_entry(update, {.key = printable(key), .reason = printable(reason)});
  if (const std::optional<LeaseKey> named = find_key(key)) {
    update.unreadable.push_back(*named);
  }
}

OwnEntry classify_own(const Result<Lease>& found, const LeaseAttrs& written, bool lasts) {
  if (!found) {
    return {.state = OwnEntry::State::unreadable, .lease = {}, .reason = found.error().text};
  }
  if (found->attrs != written) {
    return {.state = OwnEntry::State::other, .lease = *found, .reason = {}};
  }
  return {.state = lasts ? OwnEntry::State::as_written : OwnEntry::State::may_expire,
          .lease = *found,
          .reason = {}};
}

}  // namespace flannel
