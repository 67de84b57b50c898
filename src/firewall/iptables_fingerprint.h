// What the kernel has of our part of a table of iptables, without running a program: enough to see
// that it is another than it was, not to say what it is.
#pragma once

#include <string>
#include <vector>

#include "firewall/iptables_legacy.h"
#include "kernel/netlink_socket.h"
#include "kernel/ruleset.h"

namespace flannel {

struct IptablesFingerprint {
  OurRules nft, legacy;  // what either kind of iptables made

  bool empty() const { return nft.bytes.empty() && legacy.bytes.empty(); }
  // One kind has as many rules and jumps as these lines, and so far may be them.
  bool may_be(const std::vector<std::string>& lines) const;
  bool operator==(const IptablesFingerprint&) const = default;
};

// The socket is one of NETLINK_NETFILTER. Throws std::system_error.
IptablesFingerprint read_iptables_fingerprint(netlink::RequestSocket& socket,
                                              const Ruleset::Key& key);

}  // namespace flannel
