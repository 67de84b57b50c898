// What an ADD gave a container, as the specification's result types of every version.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "cni/protocol/fields.h"
#include "cni/protocol/request.h"

namespace flannel::cni {

struct ResultInterface {
  std::string name;
  std::string mac;
  std::string sandbox;  // the network namespace's path; empty for one on the host
  std::int64_t mtu = 0;
  bool operator==(const ResultInterface&) const = default;
};

struct ResultIp {
  std::optional<std::int64_t> interface;  // index among the interfaces
  Prefix address;                         // host bits kept
  std::optional<IpAddr> gateway;
  bool operator==(const ResultIp&) const = default;
};

struct ResultRoute {
  Prefix dst;
  std::optional<IpAddr> gw;
  std::int64_t mtu = 0;  // these three: 0 is not given
  std::int64_t advmss = 0;
  std::int64_t priority = 0;
  std::optional<std::int64_t> table;
  std::optional<std::int64_t> scope;
  auto operator<=>(const ResultRoute&) const = default;
};

struct ResultDns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
  bool empty() const { return *this == ResultDns{}; }
  bool operator==(const ResultDns&) const = default;
};

struct AddResult {
  std::vector<ResultInterface> interfaces;
  std::vector<ResultIp> ips;
  std::vector<ResultRoute> routes;
  ResultDns dns;
  bool operator==(const AddResult&) const = default;
};

// As the reference's types print it for `version`, one of kVersions: in 0.1.0 and 0.2.0 the first
// address of each family with the routes of that family.
json::object to_json(const AddResult& result, std::string_view version);

// A result of any version, by its own cniVersion, or `version` where it has none. Throws CniError.
AddResult parse_result(const json::object& document, std::string_view version);

// `prevResult` of the configuration: what the plugins before this one, or an earlier ADD, gave;
// nothing where there is none. Throws CniError.
std::optional<AddResult> previous_result(const Request& request);
// The same for who goes on without: empty where there is none, or none that can be read.
AddResult previous_result_or_empty(const Request& request);

std::vector<IpAddr> addresses_of(const AddResult& result);

// The parts a network configuration has as well. Throw CniError.
std::vector<ResultRoute> parse_routes(const Fields& fields, std::string_view name);
ResultDns parse_dns(const Fields& dns);
json::value to_json(const ResultRoute& route);

// Throws CniError (invalid_config) for a route that the kernel has no form for: by a gateway of the
// other family, or with a number that its message would cut off.
void check_routes(const std::vector<ResultRoute>& routes);

}  // namespace flannel::cni
