#include "network/network_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/ascii_text.h"
#include "base/first_error.h"
#include "base/printable.h"
#include "network/backend_options.h"
#include "network/json_document.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // as some editors write it in front

// How the fields of a family are called, and the limits of its prefix lengths.
struct FamilyRules {
  Family family;
  std::string_view network, subnet_len, subnet_min, subnet_max;
  std::string_view too_small;
  unsigned longest_subnet;  // two devices and two more addresses must fit
  unsigned usual_subnet;    // where SubnetLen is not given
  unsigned smallest_network;
  std::string_view example;
};

constexpr FamilyRules kV4{Family::v4,  "Network",
                          "SubnetLen", "SubnetMin",
                          "SubnetMax", "network is too small. Minimum useful network prefix is /28",
                          30,          24,
                          28,          "10.5.0.0/16"};
constexpr FamilyRules kV6{Family::v6,
                          "IPv6Network",
                          "IPv6SubnetLen",
                          "IPv6SubnetMin",
                          "IPv6SubnetMax",
                          "IPv6Network is too small. Minimum useful network prefix is /124",
                          126,
                          64,
                          124,
                          "fc00:5::/48"};

// null is an error for these, as in the reference; a missing field is not.
bool is_null_field(const json::object& object, std::string_view name) {
  return std::any_of(object.begin(), object.end(), [&](const json::key_value_pair& field) {
    return field.value().is_null() && std::string_view(field.key()) == name;
  });
}

Result<std::optional<Prefix>> read_network(const json::object& object, const FamilyRules& rules) {
  if (is_null_field(object, rules.network)) {
    return fail("{} null: invalid CIDR address", rules.network);
  }
  const Result<std::string> text = BackendOptions(object).text(rules.network, "");
  if (!text) {
    return std::unexpected(text.error());
  }
  if (text->empty() && find_field(object, rules.network) == nullptr) {
    return std::nullopt;
  }
  const Result<Prefix> prefix = Prefix::parse(*text);
  if (!prefix) {
    return fail("{}: {} (such as {})", rules.network, prefix.error().text, rules.example);
  }
  if (prefix->family() != rules.family) {
    return fail("invalid {} CIDR format: {} {}", to_text(rules.family), rules.network,
                printable(*text));
  }
  return prefix->masked();
}

// 0.0.0.0 and :: mean the default, like a missing field.
Result<std::optional<IpAddr>> read_bound(const json::object& object, const FamilyRules& rules,
                                         std::string_view name) {
  if (rules.family == Family::v4 && is_null_field(object, name)) {
    return fail("{} null: invalid IP address", name);
  }
  const Result<std::string> text = BackendOptions(object).text(name, "");
  if (!text) {
    return std::unexpected(text.error());
  }
  if (find_field(object, name) == nullptr) {
    return std::nullopt;
  }
  const Result<IpAddr> ip = IpAddr::parse(*text);
  if (!ip || ip->family() != rules.family) {
    return fail("{} {}: invalid IP{} address", name, printable(*text),
                rules.family == Family::v4 ? "v4" : "v6");
  }
  if (ip->is_unspecified()) {
    return std::nullopt;
  }
  return *ip;
}

// What the document says of one family, defaults not filled in.
struct FamilyFields {
  std::optional<Prefix> network;
  unsigned subnet_length = 0;
  std::optional<IpAddr> subnet_min, subnet_max;
};

Result<FamilyFields> read_family(const json::object& object, const FamilyRules& rules) {
  const Result<std::optional<Prefix>> network = read_network(object, rules);
  const Result<std::uint64_t> length =
      BackendOptions(object).number(rules.subnet_len, 0, UINT32_MAX);
  const Result<std::optional<IpAddr>> min = read_bound(object, rules, rules.subnet_min);
  const Result<std::optional<IpAddr>> max = read_bound(object, rules, rules.subnet_max);
  if (const Error* error = first_error(network, length, min, max)) {
    return std::unexpected(*error);
  }
  return FamilyFields{*network, static_cast<unsigned>(*length), *min, *max};
}

Result<unsigned> subnet_length(const FamilyFields& fields, const FamilyRules& rules) {
  const unsigned network = fields.network->length;
  if (fields.subnet_length == 0) {
    if (network > rules.smallest_network) {
      return fail("{}: {} is {}", rules.too_small, rules.network, fields.network->to_text());
    }
    return std::max(rules.usual_subnet, network + 2);
  }
  if (fields.subnet_length > rules.longest_subnet) {
    return fail("{} must be less than /{}: it is {}", rules.subnet_len, rules.longest_subnet + 1,
                fields.subnet_length);
  }
  // The first subnet is not handed out, so that half of the network would hold one node.
  if (fields.subnet_length < network + 2) {
    return fail("network must be able to accommodate at least four subnets: {} is {}, {} {}",
                rules.network, fields.network->to_text(), rules.subnet_len, fields.subnet_length);
  }
  return fields.subnet_length;
}

Result<IpAddr> bound(const std::optional<IpAddr>& given, const IpAddr& otherwise,
                     const FamilyConfig& config, const FamilyRules& rules, std::string_view name) {
  const IpAddr ip = given.value_or(otherwise);
  if (!config.network.contains(ip)) {
    return fail("{} is not in the range of the {}: {} is outside {}", name, rules.network,
                ip.to_text(), config.network.to_text());
  }
  const IpAddr boundary = Prefix{ip, static_cast<std::uint8_t>(config.subnet_length)}.masked().ip;
  if (boundary != ip) {
    return fail("{} is not on a {} boundary: {} ({} is)", name, rules.subnet_len, ip.to_text(),
                boundary.to_text());
  }
  return ip;
}

Result<FamilyConfig> check_family(const FamilyFields& fields, const FamilyRules& rules) {
  if (!fields.network || fields.network->length == 0) {
    return fail("please define a correct {} parameter in the flannel config: {}", rules.network,
                fields.network ? fields.network->to_text() : "there is none");
  }
  const Result<unsigned> length = subnet_length(fields, rules);
  if (!length) {
    return std::unexpected(length.error());
  }
  FamilyConfig config;
  config.network = *fields.network;
  config.subnet_length = *length;
  const IpAddr base = config.network.ip;
  const Uint128 step = static_cast<Uint128>(1) << (base.bits() - *length);
  const Uint128 last = base.number() + (config.network.size() - step);
  const Result<IpAddr> min =
      bound(fields.subnet_min, IpAddr::from_number(rules.family, base.number() + step), config,
            rules, rules.subnet_min);
  const Result<IpAddr> max = bound(fields.subnet_max, IpAddr::from_number(rules.family, last),
                                   config, rules, rules.subnet_max);
  if (const Error* error = first_error(min, max)) {
    return std::unexpected(*error);
  }
  if (*max < *min) {
    return fail("{} {} is above {} {}", rules.subnet_min, min->to_text(), rules.subnet_max,
                max->to_text());
  }
  config.subnet_min = *min;
  config.subnet_max = *max;
  return config;
}

Result<std::optional<FamilyConfig>> make_family(const json::object& object, bool enabled,
                                                const FamilyRules& rules, ConfigChecks checks) {
  // Fields of a family that is off must still have the right types.
  const Result<FamilyFields> fields = read_family(object, rules);
  if (!fields) {
    return std::unexpected(fields.error());
  }
  if (!enabled) {
    return std::nullopt;
  }
  if (checks == ConfigChecks::full) {
    const Result<FamilyConfig> config = check_family(*fields, rules);
    if (!config) {
      return std::unexpected(config.error());
    }
    return *config;
  }
  FamilyConfig config;
  config.network = fields->network.value_or(Prefix{IpAddr::from_number(rules.family, 0), 0});
  config.subnet_length = fields->subnet_length;
  return config;
}

Result<void> read_backend(const json::object& object, NetworkConfig& config) {
  const json::value* backend = find_field(object, "Backend");
  if (backend == nullptr) {
    config.backend_type = "udp";
    config.backend_missing = true;
    return {};
  }
  if (!backend->is_object()) {
    return fail("Backend {}: not a JSON object", printable(json::serialize(*backend)));
  }
  config.backend = backend->get_object();
  const Result<std::string> type = BackendOptions(config.backend).text("Type", "");
  if (!type) {
    return fail("Backend.{}", type.error().text);
  }
  config.backend_type = lower_case(*type);
  return {};
}

// What each says is checked where it is known what else is not masqueraded to.
Result<void> read_masq_exclude(const json::object& object, NetworkConfig& config) {
  constexpr std::string_view kName = "IPMasqExclude";
  const json::value* field = find_field(object, kName);
  if (field == nullptr || field->is_null()) {
    return {};
  }
  const json::array items = field->is_array() ? field->get_array() : json::array{nullptr};
  for (const json::value& item : items) {
    const json::string* text = item.if_string();
    if (text == nullptr) {
      return fail("{} {}: not a list of networks, such as [\"192.0.2.0/24\"]", kName,
                  printable(json::serialize(*field)));
    }
    config.masq_exclude.emplace_back(text->data(), text->size());
  }
  return {};
}

Result<json::object> parse_object(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  const Result<json::value> document = parse_json(text, "network configuration");
  if (!document) {
    return std::unexpected(document.error());
  }
  if (!document->is_object()) {
    return fail("network configuration {}: not a JSON object",
                printable(json::serialize(*document)));
  }
  return document->get_object();
}

std::vector<std::string> unknown_fields(const json::object& object) {
  std::vector<std::string_view> known{"EnableIPv4", "EnableIPv6", "EnableNFTables", "IPMasqExclude",
                                      "Backend"};
  for (const FamilyRules& rules : {kV4, kV6}) {
    known.insert(known.end(),
                 {rules.network, rules.subnet_len, rules.subnet_min, rules.subnet_max});
  }
  return flannel::unknown_fields(object, known, "");
}

Result<NetworkConfig> read_config(const json::object& object, ConfigChecks checks) {
  const BackendOptions fields(object);
  const Result<bool> ipv4 = fields.flag("EnableIPv4", true);
  const Result<bool> ipv6 = fields.flag("EnableIPv6", false);
  const Result<bool> nftables = fields.flag("EnableNFTables", false);
  if (const Error* error = first_error(ipv4, ipv6, nftables)) {
    return std::unexpected(*error);
  }
  if (!*ipv4 && !*ipv6) {
    return fail("none defined stack: EnableIPv4 and EnableIPv6 are both false");
  }
  NetworkConfig config;
  config.nftables = *nftables;
  const Result<void> backend = read_backend(object, config);
  const Result<void> exclude = read_masq_exclude(object, config);
  const Result<std::optional<FamilyConfig>> v4 = make_family(object, *ipv4, kV4, checks);
  const Result<std::optional<FamilyConfig>> v6 = make_family(object, *ipv6, kV6, checks);
  if (const Error* error = first_error(backend, exclude, v4, v6)) {
    return std::unexpected(*error);
  }
  config.v4 = *v4;
  config.v6 = *v6;
  return config;
}

}  // namespace

// A field that is missing may be one that is not known.
Result<NetworkConfig> parse_network_config(std::string_view text, ConfigChecks checks) {
  if (text.size() > kMostConfigBytes) {
    return fail("a text of over {} kB is no network configuration", kMostConfigBytes >> 10);
  }
  const Result<json::object> object = parse_object(text);
  if (!object) {
    return std::unexpected(object.error());
  }
  std::vector<std::string> unknown = unknown_fields(*object);
  Result<NetworkConfig> config = read_config(*object, checks);
  if (!config && !unknown.empty()) {
    return fail("{} ({})", config.error().text, fmt::join(unknown, "; "));
  }
  if (config) {
    config->unknown_fields = std::move(unknown);
  }
  return config;
}

}  // namespace flannel
