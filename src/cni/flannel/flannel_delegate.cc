#include "cni/flannel/flannel_delegate.h"

#include <algorithm>
#include <iterator>

#include "cni/bridge/bridge_config.h"
#include "cni/protocol/error.h"
#include "cni/protocol/json_text.h"
#include "cni/protocol/result.h"
#include "network/backend_options.h"

namespace flannel::cni {
namespace {

constexpr std::string_view kBridgeType = "bridge";

void set_default(json::object& object, std::string_view name, json::value value) {
  if (!object.contains(name)) {
    object.emplace(name, std::move(value));
  }
}

json::object given_object(const Request& request, std::string_view name) {
  request.fields().object(name);  // an object, or an error that says so
  const json::value* value = request.fields().find(name);
  return value == nullptr ? json::object() : value->get_object();
}

void check_delegate(const json::object& delegate) {
  if (const json::value* type = delegate.if_contains("type"); type && !type->is_string()) {
    throw_error(Code::invalid_config,
                "'delegate' dictionary, if present, must have (string) 'type' field");
  }
  for (const std::string_view name : {"name", "ipam"}) {
    if (delegate.contains(name)) {
      throw_error(Code::invalid_config,
                  "'delegate' dictionary must not have '{}' field, it'll be set by flannel", name);
    }
  }
}

json::array range_set(const Prefix& subnet) {
  json::object range;
  range.emplace("subnet", subnet.to_text());
  return json::array{std::move(range)};
}

json::object make_ipam(const Request& request, const FlannelEnv& env) {
  json::object ipam = given_object(request, "ipam");
  set_default(ipam, "type", "host-local");
  json::array ranges;
  for (const std::optional<Prefix>& subnet : {env.subnet, env.ipv6_subnet}) {
    if (subnet) {
      ranges.push_back(range_set(*subnet));
    }
  }
  json::array routes;
  for (const ResultRoute& route : parse_routes(request.fields().object("ipam"), "routes")) {
    routes.push_back(to_json(route));
  }
  for (const Prefix& network : env.networks) {
    routes.push_back(to_json(ResultRoute{.dst = network}));
  }
  ipam["ranges"] = std::move(ranges);
  ipam["routes"] = std::move(routes);
  return ipam;
}

void set_identity(const Request& request, json::object& delegate) {
  delegate["name"] = request.name;
  set_default(delegate, "type", json::string(kBridgeType));
  const std::string version = request.fields().text("cniVersion").value_or("");
  if (!version.empty()) {
    delegate["cniVersion"] = version;
  }
}

}  // namespace

FlannelConfig parse_flannel(const Request& request) {
  const Fields fields = request.fields();
  return {.subnet_file = fields.text("subnetFile").value_or("/run/flannel/subnet.env"),
          .data_dir = fields.text("dataDir").value_or("/var/lib/cni/flannel")};
}

json::object make_delegate(const Request& request, const FlannelEnv& env) {
  json::object delegate = given_object(request, "delegate");
  check_delegate(delegate);
  if (request.fields().find("runtimeConfig") != nullptr) {
    delegate["runtimeConfig"] = given_object(request, "runtimeConfig");
  }
  set_identity(request, delegate);
  set_default(delegate, "ipMasq", !env.ip_masq);
  set_default(delegate, "mtu", env.mtu);
  if (delegate["type"].get_string() == kBridgeType) {
    set_default(delegate, "isGateway", true);
  }
  delegate["ipam"] = make_ipam(request, env);
  return sort_fields(delegate).get_object();
}

json::object make_delegate_for_removal(const Request& request) {
  json::object delegate = given_object(request, "delegate");
  check_delegate(delegate);
  set_identity(request, delegate);
  set_default(delegate, "ipMasq", true);  // it may have been so
  json::object ipam = given_object(request, "ipam");
  set_default(ipam, "type", "host-local");
  delegate["ipam"] = std::move(ipam);
  return delegate;
}

std::vector<std::string> ignored_fields(const Request& request) {
  // What the specification has for every plugin, and what runtimes add.
  const std::vector<std::string_view> common{"cniVersion",
                                             "name",
                                             "type",
                                             "capabilities",
                                             "ipam",
                                             "dns",
                                             "args",
                                             "runtimeConfig",
                                             "prevResult",
                                             "cni.dev/valid-attachments",
                                             "cni.dev/attachments"};
  std::vector<std::string_view> known = common;
  known.insert(known.end(), {"subnetFile", "dataDir", "delegate"});
  std::vector<std::string> out = unknown_fields(request.config, known, "");
  const json::object delegate = given_object(request, "delegate");
  const json::value* type = delegate.if_contains("type");
  if (type == nullptr || *type == json::string(kBridgeType)) {
    known = common;
    known.insert(known.end(), std::begin(kBridgeFields), std::end(kBridgeFields));
    std::ranges::move(unknown_fields(delegate, known, "delegate."), std::back_inserter(out));
  }
  return out;
}

Request delegated(const Request& request, const json::object& delegate) {
  Request out = request;
  out.config = delegate;
  if (Fields(delegate).text("type") == kBridgeType) {  // which is called as a function
    out.callers += fmt::format("{}/", kBridgeType);
  }
  return out;
}

}  // namespace flannel::cni
