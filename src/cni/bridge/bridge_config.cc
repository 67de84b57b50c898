#include "cni/bridge/bridge_config.h"

#include <algorithm>
#include <set>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

constexpr std::int64_t kLastVlan = 4094;  // IEEE 802.1Q
constexpr std::int64_t kMostMtu = 65'535;

std::int64_t trunk_id(const Fields& item, const char* name) {
  const std::int64_t id = *item.number(name);
  if (id < 1 || id > kLastVlan) {
    throw_error(Code::invalid_config, "incorrect trunk {} parameter {}", name, id);
  }
  return id;
}

std::vector<std::uint16_t> parse_trunk(const Fields& fields) {
  std::set<std::uint16_t> ids;
  for (const Fields& item : fields.objects("vlanTrunk")) {
    const bool has_min = item.find("minID") != nullptr;
    const bool has_max = item.find("maxID") != nullptr;
    if (has_min != has_max) {
      throw_error(Code::invalid_config,
                  "minID and maxID should be configured simultaneously, {} is missing",
                  has_min ? "maxID" : "minID");
    }
    if (has_min) {
      const std::int64_t first = trunk_id(item, "minID");
      const std::int64_t last = trunk_id(item, "maxID");
      if (last < first) {
        throw_error(Code::invalid_config, "minID is greater than maxID in trunk parameter");
      }
      for (std::int64_t id = first; id <= last; ++id) {
        ids.insert(static_cast<std::uint16_t>(id));
      }
    }
    if (item.find("id") != nullptr) {
      ids.insert(static_cast<std::uint16_t>(trunk_id(item, "id")));
    }
  }
  return {ids.begin(), ids.end()};
}

// The last that says one counts: CNI_ARGS, `args`, `runtimeConfig`.
std::optional<Mac> parse_mac(const Request& request) {
  std::string text = parse_args(request.args, {"MAC"})[0];
  const Fields fields = request.fields();
  for (const Fields& from : {fields.object("args").object("cni"), fields.object("runtimeConfig")}) {
    const std::string given = from.text("mac").value_or("");
    text = given.empty() ? text : given;
  }
  if (text.empty()) {
    return std::nullopt;
  }
  const Result<Mac> mac = Mac::parse(text);
  if (!mac) {
    throw CniError(Code::invalid_config, mac.error().text);
  }
  return *mac;
}

std::int64_t number_between(const Fields& fields, std::string_view name, std::int64_t most) {
  const std::int64_t number = fields.number(name).value_or(0);
  if (number < 0 || number > most) {
    throw_error(Code::invalid_config, "invalid {} {} (must be between 0 and {})", name, number,
                most);
  }
  return number;
}

}  // namespace

BridgeConfig parse_bridge(const Request& request) {
  const Fields fields = request.fields();
  const auto flag = [&](std::string_view name) { return fields.flag(name).value_or(false); };
  BridgeConfig config;
  config.bridge = fields.text("bridge").value_or("cni0");
  config.default_gateway = flag("isDefaultGateway");
  config.gateway = flag("isGateway") || config.default_gateway;
  config.force_address = flag("forceAddress");
  config.repair = flag("repairBridge");
  config.masquerade = flag("ipMasq");
  config.masquerade_backend = fields.text("ipMasqBackend");
  config.mtu = static_cast<std::uint32_t>(number_between(fields, "mtu", kMostMtu));
  config.hairpin = flag("hairpinMode");
  config.promiscuous = flag("promiscMode");
  config.isolated = flag("portIsolation");
  config.check_mac_spoofing = flag("macspoofchk");
  config.detect_duplicates = flag("enabledad");
  config.container_interface = !flag("disableContainerInterface");
  config.vlan = static_cast<std::uint16_t>(number_between(fields, "vlan", kLastVlan));
  config.trunk = parse_trunk(fields);
  config.trunk_given = fields.find("vlanTrunk") != nullptr;
  config.keep_default_vlan = flag("preserveDefaultVlan");
  config.mac = parse_mac(request);
  config.ipam = fields.object("ipam").text("type").value_or("");
  config.dns = parse_dns(fields.object("dns"));
  if (!config.ipam.empty() && !config.container_interface) {
    throw_error(Code::invalid_config, "cannot use IPAM when DisableContainerInterface flag is set");
  }
  if (config.hairpin && config.promiscuous) {
    throw_error(Code::invalid_config,
                "cannot set hairpin mode and promiscuous mode at the same time");
  }
  return config;
}

}  // namespace flannel::cni
