// Frames of a container pass only with the MAC that it was given: bridge's `macspoofchk`.
#pragma once

#include <string>

#include "cni/protocol/request.h"

namespace flannel::cni {

// Rules of nftables' bridge family for what comes in by the host's end. Throws CniError.
void set_up_mac_spoof_check(const Attachment& attachment, const std::string& host_name,
                            const std::string& mac);
// None is fine. Throws CniError.
void tear_down_mac_spoof_check(const Attachment& attachment);

}  // namespace flannel::cni
