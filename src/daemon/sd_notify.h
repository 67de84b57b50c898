// systemd's readiness protocol (sd_notify(3)), for units with Type=notify.
#pragma once

#include <string_view>

namespace flannel {

// Sends `state`, e.g. "READY=1" or "STATUS=waiting: …" (one line), to the socket named by
// $NOTIFY_SOCKET; without one, nothing. False where it could not be sent.
bool sd_notify(std::string_view state);

}  // namespace flannel
