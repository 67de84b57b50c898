#include "network/subnet_env.h"

#include <map>

#include "base/ascii_text.h"

namespace flannel {
namespace {

// The first address of a subnet that a device may have: the base plus one.
Prefix first_address(const Prefix& subnet) {
  return {IpAddr::from_number(subnet.family(), subnet.ip.number() + 1), subnet.length};
}

// A value without its quotes, or, where it has none, without a comment behind it.
std::string_view unquote(std::string_view text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'')) {
    const std::size_t close = text.find(text.front(), 1);
    return close == std::string_view::npos ? text.substr(1) : text.substr(1, close - 1);
  }
  return trim(text.substr(0, text.find(" #")));
}

std::map<std::string_view, std::string_view> variables(std::string_view text) {
  std::map<std::string_view, std::string_view> found;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.starts_with("export ")) {
      line = trim(line.substr(7));
    }
    const std::size_t equals = line.find('=');
    if (!line.starts_with('#') && equals != std::string_view::npos) {
      found[trim(line.substr(0, equals))] = unquote(trim(line.substr(equals + 1)));
    }
  }
  return found;
}

// The one valid item of a comma list; none where there are several.
std::optional<Prefix> only_prefix(std::string_view list, Family family) {
  std::optional<Prefix> only;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const Result<Prefix> item = Prefix::parse(trim(list.substr(0, comma)));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (!item || item->family() != family) {
      continue;
    }
    if (only) {
      return std::nullopt;
    }
    only = *item;
  }
  return only;
}

}  // namespace

std::string subnet_env_text(const NetworkConfig& network, const LeaseKey& own, unsigned mtu,
                            bool ip_masq) {
  std::string out;
  for (const Family family : kFamilies) {
    const std::optional<FamilyConfig>& config = network.family(family);
    const std::optional<Prefix>& subnet = own.family(family);
    if (config && subnet) {
      const std::string_view name = family == Family::v4 ? "FLANNEL" : "FLANNEL_IPV6";
      out += fmt::format("{0}_NETWORK={1}\n{0}_SUBNET={2}\n", name, config->network.to_text(),
                         first_address(*subnet).to_text());
    }
  }
  return out + fmt::format("FLANNEL_MTU={}\nFLANNEL_IPMASQ={}\n", mtu, ip_masq);
}

std::string reason_file(const std::string& subnet_file) {
  return subnet_file + ".reason";
}

SubnetEnv parse_subnet_env(std::string_view text) {
  std::map<std::string_view, std::string_view> values = variables(text);
  SubnetEnv out;
  out.network = only_prefix(values["FLANNEL_NETWORK"], Family::v4);
  out.subnet = only_prefix(values["FLANNEL_SUBNET"], Family::v4);
  out.ipv6_network = only_prefix(values["FLANNEL_IPV6_NETWORK"], Family::v6);
  out.ipv6_subnet = only_prefix(values["FLANNEL_IPV6_SUBNET"], Family::v6);
  return out;
}

LeaseKey SubnetEnv::key() const {
  LeaseKey key;
  if (subnet) {
    key.v4 = subnet->masked();
  }
  if (ipv6_subnet) {
    key.v6 = ipv6_subnet->masked();
  }
  return key;
}

}  // namespace flannel
