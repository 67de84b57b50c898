// Chains of others that drop forwarded packets: of several chains in the way of a packet each has
// to let it pass, so that what ours accept can be dropped by another all the same.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firewall/forward_rule.h"
#include "kernel/netlink_message.h"

namespace flannel {

// Those in the way of forwarded packets, of nftables and of both kinds of iptables, whose policy is
// to drop, or which have a rule that drops or rejects all; but not behind a jump to our own rules,
// and not in a table of which a rule names one of `devices` or a network around one of `networks`,
// since it may well accept them. `suffix`: of our names. A sentence each. Throws std::system_error.
std::vector<std::string> find_forward_drops(std::span<const Prefix> networks,
                                            std::span<const Dev> devices,
                                            std::string_view suffix = "");

// The attributes of a rule of nftables in the table of `chain`.
ForwardRule decode_forward_rule(netlink::Bytes attributes, Family family, std::string_view chain,
                                const PodPackets& pods);

}  // namespace flannel
