// Masquerading of what a container sends out of its subnet: bridge's `ipMasq`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "cni/protocol/request.h"

namespace flannel::cni {

struct Masquerade {
  std::string network;
  Attachment attachment;
  std::vector<Prefix> addresses;       // the container's, host bits kept
  std::optional<std::string> backend;  // `iptables` or `nftables`; nothing: the first that is there
};

// All throw CniError.
void set_up_masquerade(const Masquerade& masquerade);
// Of either backend; none is fine. With iptables two interfaces of a container have a chain in
// common: what leads there from `addresses` is taken out, and the chain with the last of it;
// without addresses, all of it.
void tear_down_masquerade(const std::string& network, const Attachment& attachment,
                          const std::vector<IpAddr>& addresses = {});
// Those of all containers of the network but `valid`.
void collect_masquerade(const std::string& network, const std::vector<Attachment>& valid);

}  // namespace flannel::cni
