// The entries of a store that are no leases: which, why, and how many there are.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "network/lease.h"

namespace flannel {

// Anybody who may write leases can make millions. Of kMostBadEntries there are names and reasons,
// of further ones a digest, so that each counts once however often it changes; those beyond
// kMostUnnamedBad are not known until the next list.
class BadEntries {
 public:
  // True where anything changed. A snapshot replaces everything.
  bool apply(const LeaseUpdate& update);

  // By their names.
  const std::map<std::string, std::string>& reasons() const { return reasons_; }
  // How many have none.
  std::size_t unnamed() const { return all_.size() - reasons_.size(); }
  // `4000 more entries cannot be read`; empty where all have names.
  std::string others() const;

 private:
  void add(std::uint64_t digest);
  bool remove(const std::string& name);

  std::set<std::uint64_t> all_;  // bad_digest()
  std::map<std::string, std::string> reasons_;
};

}  // namespace flannel
