// What speaks against a peer's lease by itself, whatever other leases there are.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "network/host_use.h"
#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

class LeaseValidator {
 public:
  LeaseValidator(NetworkConfig network, Lease own);

  // After the own lease was taken anew; what the host uses of addresses now. True where an answer
  // may be another than before.
  bool set_own(Lease own);
  bool set_host(HostUse host);

  // Why a part of a lease cannot be used; nothing where it can. Both have a part of `family`.
  std::optional<std::string> check(const LeaseKey& key, const LeaseAttrs& attrs,
                                   Family family) const;

  const NetworkConfig& network() const { return network_; }
  const Lease& own() const { return own_; }
  const HostUse& host() const { return host_; }

 private:
  void update_host();
  std::optional<std::string> check_address(const LeaseKey& key, const LeaseAttrs& attrs,
                                           Family family) const;

  NetworkConfig network_;
  Lease own_;
  HostUse host_;  // without on_lo_
  std::vector<IpAddr> on_lo_;
  // Of host_, sorted: what peers' subnets must not overlap, and what their public addresses must
  // not be.
  std::vector<OccupiedRange> occupied_;
  std::vector<std::pair<IpAddr, std::string>> local_addresses_;  // and what they are
};

}  // namespace flannel
