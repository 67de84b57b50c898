// What a node last knew of its network, in a file of its own: so that one that reboots while the
// store is away has its overlay back at once.
//
//   node(config, own, time)   one row: the network configuration, our lease's key and value, when
//   leases(key, value)        the other nodes'
//
// It is not the truth: the first complete list from the store replaces it, and a file that cannot
// be read counts as none.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/lease.h"

namespace flannel {

struct LastKnownState {
  std::string config;  // net-conf.json's text
  Lease own;           // without expiry
  std::vector<Lease> peers;
  std::chrono::system_clock::time_point time;  // when it was so
};

class LastKnownStateFile {
 public:
  // `identity` distinguishes this daemon from others that share the directory: its store and its
  // subnet file. Nothing is made yet.
  LastKnownStateFile(const std::string& directory, const std::string& identity);

  const std::string& path() const { return path_; }
  // Error: why there is none.
  Result<LastKnownState> read() const;
  // Replaces what is there, making the file, mode 0600, where there is none, or anew where it is
  // damaged. Error: why not.
  Result<void> write(const LastKnownState& state) const;
  // Where `state.peers` are those alone that came or changed since the last write, and `gone` those
  // that left. Error: why not, also where there is no file any more to which they would belong.
  Result<void> write_changes(const LastKnownState& state, std::span<const LeaseKey> gone) const;

 private:
  std::string path_;
};

}  // namespace flannel
