// What the configuration of host-local says: from which ranges addresses come.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

struct Range {
  Prefix subnet;
  IpAddr first, last;  // inclusive
  IpAddr gateway;      // given to nobody

  bool contains(const IpAddr& address) const;
  std::string to_text() const;  // `10.5.1.1-10.5.1.254`
};

// One address a container comes from each set.
struct RangeSet {
  std::vector<Range> ranges;  // of one family

  // Null where none contains it.
  const Range* find(const IpAddr& address) const;
  std::string to_text() const;
};

struct HostLocalConfig {
  std::string folder;  // of the network's reservations
  std::vector<RangeSet> sets;
  std::vector<IpAddr> requested;  // addresses that have to be among those given
  std::vector<ResultRoute> routes;
  std::string resolv_conf;  // a path; empty for none
};

// From `ipam`, `args`, `runtimeConfig` and CNI_ARGS of the request. Throws CniError.
HostLocalConfig parse_host_local(const Request& request);

// The folder alone: all that is needed to release addresses.
std::string reservations_folder(const Request& request);

// `nameserver`, `domain`, `search` and `options` of a resolv.conf.
ResultDns parse_resolv_conf(std::string_view text);

}  // namespace flannel::cni
