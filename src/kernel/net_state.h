// The kernel state one node should have, or has, as plain values.
//
// A backend fills a NetState; the reconciler makes the kernel match it. Nothing here does I/O,
// knows an ifindex, or remembers how it got there.
//
// Each object names its Key: the fields by which the *kernel* tells two such objects apart. Same
// key, other fields differ: one replace in place. Different key: a new object, and the old one is
// removed afterwards.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"

namespace flannel {

// The routing protocol number that marks our routes and nexthops (`ip route … proto 70`).
inline constexpr std::uint8_t kRouteProtocol = 70;

// A device name: at most 15 bytes, kept in place so that tables of thousands of objects are flat.
class Dev {
 public:
  constexpr Dev() = default;
  // Longer text is cut at 15 bytes; the kernel refuses such names.
  constexpr explicit(false) Dev(std::string_view name) {
    std::copy_n(name.begin(), std::min(name.size(), text_.size() - 1), text_.begin());
  }
  constexpr explicit(false) Dev(const char* name) : Dev(std::string_view(name)) {}

  constexpr std::string_view text() const { return text_.data(); }
  constexpr bool empty() const { return text_[0] == 0; }
  // Of all its bytes at once: tables are compared row by row with each change of a peer.
  std::strong_ordering operator<=>(const Dev& other) const {
    return std::memcmp(text_.data(), other.text_.data(), text_.size()) <=> 0;
  }
  bool operator==(const Dev& other) const {
    return std::memcmp(text_.data(), other.text_.data(), text_.size()) == 0;
  }

 private:
  std::array<char, 16> text_{};
};

// `type vxlan`. A difference in any field but `learning` means that the device is made anew: the
// kernel cannot change the others (drivers/net/vxlan/vxlan_core.c, vxlan_changelink), or could,
// but only since recent versions.
struct Vxlan {
  std::uint32_t vni = 0;
  IpAddr local;            // source address of tunnel packets
  Dev lower;               // device they leave by
  std::uint16_t port = 0;  // UDP port, host order
  bool gbp = false;
  bool learning = false;
  // What no device of ours has: where to send what the FDB does not know, and asking for it.
  bool group = false;
  bool l2miss = false;
  bool operator==(const Vxlan&) const = default;
};

// A device we would make of a kind we do not know: somebody else took the name.
struct OtherKind {
  std::string kind;
  bool operator==(const OtherKind&) const = default;
};

struct Link {
  struct Key {
    Dev name;
    auto operator<=>(const Key&) const = default;
  } key;
  std::variant<Vxlan, OtherKind> kind;
  Mac mac;
  std::uint32_t mtu = 0;  // bytes
  bool up = true;
  std::string alias;  // ifalias: says whose it is
  // Takes router advertisements (net.ipv6.conf.DEV.accept_ra is not 0), which no device of ours
  // does: the overlay has no routers that advertise themselves, and a pod must not play one.
  bool accept_ra = false;
  // A bridge, bond or VRF that takes what it receives; none of our devices has one.
  Dev master;
  bool operator==(const Link&) const = default;
};

struct Address {  // scope global, no label
  struct Key {
    Dev dev;
    Prefix prefix;  // host bits kept
    auto operator<=>(const Key&) const = default;
  } key;
  bool operator==(const Address&) const = default;
};

struct Neighbour {  // inner IP -> inner MAC, permanent
  struct Key {
    Dev dev;
    IpAddr ip;
    auto operator<=>(const Key&) const = default;
  } key;
  Mac mac;
  bool operator==(const Neighbour&) const = default;
};

struct FdbEntry {  // inner MAC -> outer IP, permanent, of the device itself
  struct Key {
    Dev dev;
    Mac mac;
    auto operator<=>(const Key&) const = default;
  } key;
  IpAddr remote;
  // By the device's own port and VNI, and by no device of the entry's choice, as all of ours.
  bool plain = true;
  bool operator==(const FdbEntry&) const = default;
};

struct Nexthop {  // protocol kRouteProtocol
  struct Key {
    std::uint32_t id = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  IpAddr via;
  Dev dev;
  bool onlink = false;
  bool operator==(const Nexthop&) const = default;
};

struct Route {  // main table, TOS 0
  struct Key {
    Prefix dst;
    std::uint32_t metric = 0;  // RTA_PRIORITY; the kernel's default for v6 is 1024
    // How many other routes of this destination and metric come before it (`ip route prepend`): the
    // kernel uses none but the first, and none other is ever wanted.
    std::uint32_t place = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  // Either a nexthop object, and the next three are empty, or a path of the route's own.
  std::uint32_t nexthop = 0;
  std::optional<IpAddr> via;
  Dev dev;
  bool onlink = false;
  std::uint8_t protocol = kRouteProtocol;
  // RTN_UNICAST (linux/rtnetlink.h), as all of ours; those of others may be blackholes, …
  std::uint8_t type = 1;
  bool operator==(const Route&) const = default;
};

// Rows in the order of their keys, one a key.
template <class T>
class Table {
 public:
  using Key = typename T::Key;

  Table() = default;
  // Sorts `rows`; of several with one key the last stays.
  explicit Table(std::vector<T> rows);

  const T* find(const Key& key) const;
  // Adds a row or replaces the one of its key. Linear; at the end constant.
  void put(T row);
  // False where there was none.
  bool remove(const Key& key);
  template <class Predicate>
  void remove_if(Predicate predicate) {
    std::erase_if(rows_, predicate);
  }

  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  std::size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  bool operator==(const Table&) const = default;

 private:
  std::vector<T> rows_;
};

// In dependency order: an object refers only to objects of tables before its own.
struct NetState {
  Table<Link> links;
  Table<Address> addresses;
  Table<Neighbour> neighbours;
  Table<FdbEntry> fdb;
  Table<Nexthop> nexthops;
  Table<Route> routes;
  bool operator==(const NetState&) const = default;

  // The table of one kind: of<Route>() is `routes`.
  template <class T, class Self>
  auto& of(this Self& self) {
    if constexpr (std::is_same_v<T, Link>) {
      return self.links;
    } else if constexpr (std::is_same_v<T, Address>) {
      return self.addresses;
    } else if constexpr (std::is_same_v<T, Neighbour>) {
      return self.neighbours;
    } else if constexpr (std::is_same_v<T, FdbEntry>) {
      return self.fdb;
    } else if constexpr (std::is_same_v<T, Nexthop>) {
      return self.nexthops;
    } else {
      static_assert(std::is_same_v<T, Route>);
      return self.routes;
    }
  }

  std::size_t size() const {
    return links.size() + addresses.size() + neighbours.size() + fdb.size() + nexthops.size() +
           routes.size();
  }
};

// The tables of one or more states side by side, in dependency order:
// for_each_table([](const auto& want, const auto& have) {…}, want, have).
template <class Function, class... States>
void for_each_table(Function&& function, States&&... states) {
  function(states.links...);
  function(states.addresses...);
  function(states.neighbours...);
  function(states.fdb...);
  function(states.nexthops...);
  function(states.routes...);
}

using Object = std::variant<Link, Address, Neighbour, FdbEntry, Nexthop, Route>;

// Whether `a` comes before `b` by table, then by key: the order of sorted lists of objects. Two
// with one key are the same object, whatever their other fields.
bool key_less(const Object& a, const Object& b);

// One step of making the kernel agree.
struct Op {
  enum class Verb {
    add,     // no object of that key is known
    change,  // one is, with other fields
    remove,
  } verb = Verb::add;
  Object object;
  bool operator==(const Op&) const = default;
};

// The line `ip` or `bridge` would print for it, with its kind in front, e.g.
// `route 10.5.60.0/24 nhid 7 proto 70`. What `flannelctl plan` and scenario files show.
std::string to_text(const Object& object);
// `+ …`, `~ …` or `- …`.
std::string to_text(const Op& op);
// One line an object, in table order.
std::string to_text(const NetState& state);

// ---------------------------------------------------------------------------------------------

template <class T>
Table<T>::Table(std::vector<T> rows) : rows_(std::move(rows)) {
  // Most plans follow the order of the peers, which is that of many tables.
  const auto unordered = [](const T& a, const T& b) { return !(a.key < b.key); };
  if (std::adjacent_find(rows_.begin(), rows_.end(), unordered) == rows_.end()) {
    return;
  }
  const auto by_key = [](const T& a, const T& b) { return a.key < b.key; };
  std::stable_sort(rows_.begin(), rows_.end(), by_key);
  // Of equal keys keep the last: unique() keeps the first, so walk backwards.
  const auto kept = std::unique(rows_.rbegin(), rows_.rend(),
                                [](const T& a, const T& b) { return a.key == b.key; });
  rows_.erase(rows_.begin(), kept.base());
}

template <class T>
const T* Table<T>::find(const Key& key) const {
  const auto at = std::lower_bound(rows_.begin(), rows_.end(), key,
                                   [](const T& row, const Key& k) { return row.key < k; });
  return at != rows_.end() && at->key == key ? &*at : nullptr;
}

template <class T>
void Table<T>::put(T row) {
  if (rows_.empty() || rows_.back().key < row.key) {
    rows_.push_back(std::move(row));
    return;
  }
  const auto at = std::lower_bound(rows_.begin(), rows_.end(), row.key,
                                   [](const T& r, const Key& k) { return r.key < k; });
  if (at->key == row.key) {
    *at = std::move(row);
  } else {
    rows_.insert(at, std::move(row));
  }
}

template <class T>
bool Table<T>::remove(const Key& key) {
  const T* row = find(key);
  if (row == nullptr) {
    return false;
  }
  rows_.erase(rows_.begin() + (row - rows_.data()));
  return true;
}

}  // namespace flannel
