#include "cni/protocol/result.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "cni/protocol/error.h"
#include "cni/protocol/json_text.h"

namespace flannel::cni {
namespace {

// Where a version's result differs: 0.1.0 and 0.2.0 have one address a family, from 1.0.0 on the
// family is not named, and the reference prints its objects' keys sorted and no empty `dns`.
bool is_flat(std::string_view version) {
  return version_index(version) < version_index("0.3.0");
}
bool is_sorted(std::string_view version) {
  return version_index(version) >= version_index("1.0.0");
}

json::array texts(const std::vector<std::string>& values) {
  return json::array(values.begin(), values.end());
}

json::object dns_json(const ResultDns& dns) {
  json::object out;
  const auto put = [&out](std::string_view name, const std::vector<std::string>& values) {
    if (!values.empty()) {
      out.emplace(name, texts(values));
    }
  };
  put("nameservers", dns.nameservers);
  if (!dns.domain.empty()) {
    out.emplace("domain", dns.domain);
  }
  put("search", dns.search);
  put("options", dns.options);
  return out;
}

json::object interface_json(const ResultInterface& interface, std::string_view version) {
  json::object out;
  out.emplace("name", interface.name);
  if (!interface.mac.empty()) {
    out.emplace("mac", interface.mac);
  }
  if (interface.mtu != 0 && version_index(version) >= version_index("1.1.0")) {
    out.emplace("mtu", interface.mtu);
  }
  if (!interface.sandbox.empty()) {
    out.emplace("sandbox", interface.sandbox);
  }
  return out;
}

json::object ip_json(const ResultIp& ip, std::string_view version) {
  json::object out;
  if (!is_sorted(version)) {
    out.emplace("version", ip.address.ip.is_v4() ? "4" : "6");
  }
  if (ip.interface) {
    out.emplace("interface", *ip.interface);
  }
  out.emplace("address", ip.address.to_text());
  if (ip.gateway) {
    out.emplace("gateway", ip.gateway->to_text());
  }
  return out;
}

json::object flat_json(const AddResult& result, std::string_view version) {
  json::object out;
  out.emplace("cniVersion", version);
  for (const Family family : kFamilies) {
    const auto ip = std::find_if(result.ips.begin(), result.ips.end(), [&](const ResultIp& each) {
      return each.address.family() == family;
    });
    if (ip == result.ips.end()) {
      continue;
    }
    json::object config;
    config.emplace("ip", ip->address.to_text());
    if (ip->gateway) {
      config.emplace("gateway", ip->gateway->to_text());
    }
    json::array routes;
    for (const ResultRoute& route : result.routes) {
      if (route.dst.family() == family) {
        routes.push_back(to_json(ResultRoute{.dst = route.dst, .gw = route.gw}));
      }
    }
    if (!routes.empty()) {
      config.emplace("routes", std::move(routes));
    }
    out.emplace(family == Family::v4 ? "ip4" : "ip6", std::move(config));
  }
  out.emplace("dns", dns_json(result.dns));
  return out;
}

AddResult parse_flat(const Fields& fields) {
  AddResult result;
  for (const char* name : {"ip4", "ip6"}) {
    if (fields.find(name) == nullptr) {
      continue;
    }
    const Fields config = fields.object(name);
    if (const std::optional<Prefix> address = config.prefix("ip")) {
      result.ips.push_back(
          {.interface = {}, .address = *address, .gateway = config.address("gateway")});
    }
    for (const ResultRoute& route : parse_routes(config, "routes")) {
      result.routes.push_back(route);
    }
  }
  result.dns = parse_dns(fields.object("dns"));
  return result;
}

}  // namespace

json::value to_json(const ResultRoute& route) {
  json::object out;
  out.emplace("dst", route.dst.to_text());
  if (route.gw) {
    out.emplace("gw", route.gw->to_text());
  }
  const std::array numbers = {std::pair("mtu", route.mtu), std::pair("advmss", route.advmss),
                              std::pair("priority", route.priority)};
  for (const auto& [name, number] : numbers) {
    if (number != 0) {
      out.emplace(name, number);
    }
  }
  if (route.table) {
    out.emplace("table", *route.table);
  }
  if (route.scope) {
    out.emplace("scope", *route.scope);
  }
  return out;
}

json::object to_json(const AddResult& result, std::string_view version) {
  if (is_flat(version)) {
    return flat_json(result, version);
  }
  json::object out;
  out.emplace("cniVersion", version);
  const auto put_list = [&out](std::string_view name, const auto& items, const auto& to_item) {
    json::array list;
    for (const auto& item : items) {
      list.push_back(to_item(item));
    }
    if (!list.empty()) {
      out.emplace(name, std::move(list));
    }
  };
  put_list("interfaces", result.interfaces,
           [&](const ResultInterface& each) { return interface_json(each, version); });
  put_list("ips", result.ips, [&](const ResultIp& each) { return ip_json(each, version); });
  put_list("routes", result.routes, [](const ResultRoute& each) { return to_json(each); });
  if (!is_sorted(version) || !result.dns.empty()) {
    out.emplace("dns", dns_json(result.dns));
  }
  return is_sorted(version) ? sort_fields(out).get_object() : out;
}

std::vector<ResultRoute> parse_routes(const Fields& fields, std::string_view name) {
  std::vector<ResultRoute> out;
  for (const Fields& item : fields.objects(name)) {
    const std::optional<Prefix> dst = item.prefix("dst");
    if (!dst) {
      throw_error(Code::invalid_config, "{}: a route without dst", name);
    }
    out.push_back({.dst = *dst,
                   .gw = item.address("gw"),
                   .mtu = item.number("mtu").value_or(0),
                   .advmss = item.number("advmss").value_or(0),
                   .priority = item.number("priority").value_or(0),
                   .table = item.number("table"),
                   .scope = item.number("scope")});
  }
  return out;
}

void check_routes(const std::vector<ResultRoute>& routes) {
  constexpr std::int64_t kMostScope = 255;            // an octet of struct rtmsg
  constexpr std::int64_t kMostNumber = 0xffff'ffffL;  // of an attribute
  for (const ResultRoute& route : routes) {
    if (route.gw && route.gw->family() != route.dst.family()) {
      throw_error(Code::invalid_config, "route {}: gateway {} is of another family",
                  route.dst.to_text(), route.gw->to_text());
    }
    const std::array numbers = {std::tuple("mtu", route.mtu, kMostNumber),
                                std::tuple("advmss", route.advmss, kMostNumber),
                                std::tuple("priority", route.priority, kMostNumber),
                                std::tuple("table", route.table.value_or(0), kMostNumber),
                                std::tuple("scope", route.scope.value_or(0), kMostScope)};
    for (const auto& [name, number, most] : numbers) {
      if (number < 0 || number > most) {
        throw_error(Code::invalid_config, "route {}: invalid {} {} (must be between 0 and {})",
                    route.dst.to_text(), name, number, most);
      }
    }
  }
}

ResultDns parse_dns(const Fields& dns) {
  return {.nameservers = dns.texts("nameservers"),
          .domain = dns.text("domain").value_or(""),
          .search = dns.texts("search"),
          .options = dns.texts("options")};
}

AddResult parse_result(const json::object& document, std::string_view version) {
  const Fields fields(document, "result: ");
  const std::string own = fields.text("cniVersion").value_or("");
  if (is_flat(own.empty() ? version : own)) {
    return parse_flat(fields);
  }
  AddResult result;
  for (const Fields& item : fields.objects("interfaces")) {
    result.interfaces.push_back({.name = item.text("name").value_or(""),
                                 .mac = item.text("mac").value_or(""),
                                 .sandbox = item.text("sandbox").value_or(""),
                                 .mtu = item.number("mtu").value_or(0)});
  }
  for (const Fields& item : fields.objects("ips")) {
    const std::optional<Prefix> address = item.prefix("address");
    if (!address) {
      throw_error(Code::invalid_config, "result: ips: one without address");
    }
    result.ips.push_back({.interface = item.number("interface"),
                          .address = *address,
                          .gateway = item.address("gateway")});
  }
  result.routes = parse_routes(fields, "routes");
  result.dns = parse_dns(fields.object("dns"));
  return result;
}

std::optional<AddResult> previous_result(const Request& request) {
  const json::value* previous = request.fields().find("prevResult");
  return previous == nullptr || !previous->is_object()
             ? std::nullopt
             : std::optional(parse_result(previous->get_object(), request.version));
}

AddResult previous_result_or_empty(const Request& request) {
  try {
    return previous_result(request).value_or(AddResult());
  } catch (const CniError&) {
    return {};
  }
}

std::vector<IpAddr> addresses_of(const AddResult& result) {
  std::vector<IpAddr> out;
  for (const ResultIp& ip : result.ips) {
    out.push_back(ip.address.ip);
  }
  return out;
}

}  // namespace flannel::cni
