// What the kernel's messages say of objects: in our words, and whose they are. Dumps and
// notifications are read alike.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernel/kernel.h"
#include "kernel/link_codec.h"
#include "kernel/netlink_message.h"
#include "kernel/ownership.h"

namespace flannel::netlink {

// The host's devices by index, as far as messages told: indices exist in messages only.
struct LinkTable {
  struct Device {
    Dev name;
    bool up = false;
    std::uint32_t mtu = 0;
    bool operator==(const Device&) const = default;
  };
  std::unordered_map<int, Device> all;
  std::map<int, Link> ours;  // as last seen
  std::set<int> carriers;    // devices of others that our routes leave by

  bool is_ours(int index) const { return ours.contains(index); }
  // Empty where there is none.
  Dev name_of(int index) const;
  // 0 where there is none.
  int index_of(const Dev& name) const;
  // Takes the names from a list of all links. What is known of their state stays, so that the
  // notification that tells of a change still does.
  void rename(std::span<const LinkMessage> links);
};

struct Reading {
  Object object;
  int index = 0;  // of the device it is on
  bool ours = false;
  bool may_replace_ours = true;  // not so a route of another table: it can have no key of ours
};

// An address, neighbour, FDB entry, nexthop or route; nothing for other messages.
std::optional<Reading> read_object(const MessageView& message, const Scope& scope,
                                   const LinkTable& links);

// Builds what dumps found. The links must be in the table before what is on them is added.
class SnapshotBuilder {
 public:
  SnapshotBuilder(const Scope& scope, LinkTable& links) : scope_(scope), links_(links) {}

  // All links of the host, whose names the table has. It knows afterwards which are ours.
  void add_links(std::vector<LinkMessage> links);
  void add(std::vector<Reading> readings);
  Snapshot finish();

  Snapshot snapshot;

 private:
  void add_row(const Reading& reading, const Nexthop& nexthop);
  void add_row(const Reading& reading, const Route& route);

  const Scope& scope_;
  LinkTable& links_;
  std::vector<Address> addresses_;
  std::vector<Neighbour> neighbours_;
  std::vector<FdbEntry> fdb_;
  std::vector<Nexthop> nexthops_;
  std::vector<Route> routes_, leftovers_;
};

}  // namespace flannel::netlink
