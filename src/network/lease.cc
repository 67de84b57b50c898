#include "network/lease.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "network/backend_options.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr Prefix kNoV4{IpAddr::from_number(Family::v4, 0), 0};

std::string key_part(const Prefix& prefix) {
  return fmt::format("{}-{}", prefix.ip.to_text(), prefix.length);
}

// `ADDRESS-LENGTH` with a length up to `longest`.
Result<Prefix> parse_part(std::string_view text, Family family, unsigned longest) {
  const std::size_t dash = text.rfind('-');
  unsigned length = 0;
  if (dash == std::string_view::npos) {
    return fail("{}: not a subnet", text);
  }
  const std::string_view digits = text.substr(dash + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), length);
  const Result<IpAddr> ip = IpAddr::parse(text.substr(0, dash));
  if (error != std::errc() || end != digits.end() || length > longest || !ip ||
      ip->family() != family) {
    return fail("{}: not a subnet", text);
  }
  const Prefix prefix{*ip, static_cast<std::uint8_t>(length)};
  if (prefix.masked() != prefix) {
    return fail("{}: the address has bits behind the prefix", text);
  }
  return prefix;
}

// Where the run of `allowed` characters that ends at `end` begins.
std::size_t run_start(std::string_view text, std::size_t end, std::string_view allowed) {
  const std::size_t before =
      end == 0 ? std::string_view::npos : text.find_last_not_of(allowed, end - 1);
  return before == std::string_view::npos ? 0 : before + 1;
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
    return fail("{} \"{}\": invalid IP address", name, *text);
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
  const std::size_t ampersand = text.find('&');
  const std::size_t v4_end = std::min(ampersand, text.size());
  const std::string_view v4_text =
      text.substr(0, v4_end).substr(run_start(text, v4_end, "0123456789.-"));
  const Result<Prefix> v4 = parse_part(v4_text, Family::v4, 31);
  if (!v4) {
    return fail("{}: not a subnet key", text);
  }
  LeaseKey key;
  if (*v4 != kNoV4) {
    key.v4 = *v4;
  }
  if (ampersand == std::string_view::npos) {
    return key.v4 ? Result<LeaseKey>(key) : fail("{}: not a subnet key", text);
  }
  const std::string_view v6_text = text.substr(ampersand + 1);
  if (v6_text.find_first_not_of("0123456789abcdef:-") != std::string_view::npos) {
    return fail("{}: not a subnet key", text);
  }
  const Result<Prefix> v6 = parse_part(v6_text, Family::v6, 127);
  if (!v6) {
    return fail("{}: not a subnet key", text);
  }
  key.v6 = *v6;
  return key;
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

OwnEntry judge_own(const Result<Lease>& found, const LeaseAttrs& written, bool lasts) {
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
