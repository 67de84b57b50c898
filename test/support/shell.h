// Commands of a test's, and the host that most are about.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "process/process.h"

namespace flannel {

// What a command prints that has to succeed.
inline std::string shell(const std::string& command) {
  const ProcessOutput output = run_process("/bin/sh", {"-c", command}, "");
  EXPECT_EQ(output.status, 0) << command << ": " << output.err;
  return output.out;
}

inline bool succeeds(const std::string& command) {
  return run_process("/bin/sh", {"-c", command}, "").status == 0;
}

// In a new network namespace: an underlay device eth0 that is up, 198.18.0.2/24, and a default
// route by it. eth1 is its other end.
inline void make_underlay() {
  shell(
      "ip link set lo up && ip link add eth0 type veth peer name eth1 && "
      "ip addr add 198.18.0.2/24 dev eth0 && ip link set eth0 up && ip link set eth1 up && "
      "ip route add default via 198.18.0.1 && "
      "until ip -br link show eth0 | grep -q ' UP '; do sleep 0.01; done");
}

}  // namespace flannel
