// What the kernel's messages say of objects: in our words, and whose they are. Dumps and
// notifications are read alike.
#pragma once

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

// The host's devices by index: indices exist in messages only. A dump has a table of its own; that
// of notifications is as the last of them said, whatever dumps saw meanwhile, so that each is read
// by what was true when it was sent.
struct LinkTable {
  struct Device {
    Dev name;
    bool up = false;
    std::uint32_t mtu = 0;
    bool shared = true;       // LinkMessage::shared
    bool has_carrier = true;  // HostInterface::has_carrier
    bool operator==(const Device&) const = default;
  };
  std::unordered_map<int, Device> all;
  std::set<int> ours;

  LinkTable() = default;
  // Of a list of all links; none of them ours yet.
  explicit LinkTable(std::span<const LinkMessage> links);

  bool is_ours(int index) const { return ours.contains(index); }
  // Empty where there is none.
  Dev name_of(int index) const;
  // Names the devices that `link` has by index.
  void name_devices(LinkMessage& link) const;
  // Adds the devices that no notification was about yet: they were there before the first.
  void add_unknown(const LinkTable& listed);
};

struct Reading {
  Object object;
  int index = 0;  // of the device it is on
  bool ours = false;
  bool may_replace_ours = true;  // not so a route of another table: it can have no key of ours
  bool permanent = true;         // not so a neighbour that was learned or is being resolved
};

// An address, neighbour, FDB entry, nexthop or route; nothing for other messages.
std::optional<Reading> read_object(const MessageView& message, const Scope& scope,
                                   const LinkTable& links);

// Builds what dumps found. The links must be in the table before what is on them is added.
class SnapshotBuilder {
 public:
  explicit SnapshotBuilder(const Scope& scope) : scope_(scope) {}

  // All links of the host.
  void add_links(std::span<const LinkMessage> links);
  void add(std::vector<Reading> readings);
  // Puts what was found into `snapshot` in place of what it has of these kinds: links alone, where
  // nothing else was added; or all.
  void finish_links(Snapshot& snapshot);
  void finish(Snapshot& snapshot);

  // As add_links() found them.
  const LinkTable& links() const { return links_; }

 private:
  void add_row(const Reading& reading, const Nexthop& nexthop);
  void add_row(const Reading& reading, const Route& route);
  void add_foreign(const Reading& reading);
  void disown_entries_of_foreign_neighbours();
  void put_foreign(KindSet kinds, Snapshot& snapshot);

  const Scope& scope_;
  LinkTable links_;
  std::vector<Link> ours_;
  std::vector<Address> addresses_;
  std::vector<Neighbour> neighbours_;
  std::vector<FdbEntry> fdb_;
  std::vector<Nexthop> nexthops_;
  std::vector<Route> routes_, leftovers_, foreign_routes_;
  std::vector<Object> foreign_;
  std::vector<std::uint32_t> taken_nexthops_;
  std::optional<Route::Key> last_route_;
};

}  // namespace flannel::netlink
