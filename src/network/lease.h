// A lease: which subnet belongs to which node, and how to reach that node.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/boot_clock.h"
#include "base/ip.h"
#include "base/result.h"

namespace flannel {

// The subnets of one node; one of the two may be missing. Network addresses, no host bits.
struct LeaseKey {
  std::optional<Prefix> v4;
  std::optional<Prefix> v6;

  const std::optional<Prefix>& family(Family f) const { return f == Family::v4 ? v4 : v6; }
  auto operator<=>(const LeaseKey&) const = default;
};

// `10.5.60.0-24`, `10.5.60.0-24&fc00:5:0:1b::-64` or, with v6 only, `0.0.0.0-0&fc00:5:0:22::-64`.
std::string to_text(const LeaseKey& key);
// Finds them as the reference does (ParseSubnetKey in its pkg/subnet/subnet.go): the end of `text`
// counts, whatever is before it; lengths up to 31 and 127, v6 in lower case. `0.0.0.0-0` means no
// v4. Host bits are masked.
Result<LeaseKey> parse_lease_key(std::string_view text);
// `text` is the one way to write `key`.
bool is_text_of(std::string_view text, const LeaseKey& key);

// What a node publishes about itself.
struct LeaseAttrs {
  std::optional<IpAddr> public_ip;  // none in v6-only networks, written as 0.0.0.0
  std::optional<IpAddr> public_ipv6;
  std::string backend_type;
  std::string backend_data;  // JSON text, verbatim; empty for none
  std::string backend_v6_data;
  const std::optional<IpAddr>& public_address(Family f) const {
    return f == Family::v4 ? public_ip : public_ipv6;
  }
  const std::string& data(Family f) const {
    return f == Family::v4 ? backend_data : backend_v6_data;
  }
  bool operator==(const LeaseAttrs&) const = default;
};

// Compact JSON, byte for byte what the reference writes: PublicIP, PublicIPv6 (null for none),
// BackendType, BackendData, BackendV6Data, the last three left out where empty.
std::string to_json(const LeaseAttrs& attrs);
// Keys without regard to case, unknown ones ignored.
Result<LeaseAttrs> parse_lease_attrs(std::string_view json);

struct Lease {
  LeaseKey key;
  LeaseAttrs attrs;
  // When the store drops it unless renewed; none for a reservation, which stays.
  std::optional<BootClock::time_point> expiry;
  bool operator==(const Lease&) const = default;
};

// A longer value is none of a lease: the longest that anybody writes have some hundred bytes.
inline constexpr std::size_t kMostLeaseValue = 64 << 10;

// An entry of a store, without expiry. A key that is not written as to_text() writes it is refused:
// two of them could mean one subnet.
Result<Lease> read_lease(std::string_view key, std::string_view value);

// A node is identified by its addresses of the families it has a subnet of.
bool is_same_node(const LeaseKey& key, const LeaseAttrs& a, const LeaseAttrs& b);
// For people: `10.5.1.0/24, fc00:5:0:1::/64`, and the address of the node that holds them.
std::string subnets_text(const LeaseKey& key);
std::string holder_text(const Lease& lease);
// The subnet of `other` that overlaps one of `key`.
std::optional<Prefix> overlap(const LeaseKey& key, const LeaseKey& other);

// An entry of the store that is no lease: skipped, and shown in status.
struct BadEntry {
  std::string key;  // as the store has it without its prefix, through printable()
  std::string reason;
  bool operator==(const BadEntry&) const = default;
};

// What the store has under our own key, as its watch sees it.
struct OwnEntry {
  enum class State {
    as_written,  // what acquire() or renew() wrote last, or is writing now
    gone,
    other,       // another value, which is in `lease`
    unreadable,  // no lease; `reason` says why
    altered,     // in part not as we wrote it; `reason` says in which
    may_expire,  // our value, but not for as long as it was written for (put again by somebody
                 // else)
  } state = State::as_written;
  Lease lease;
  std::string reason;
  bool operator==(const OwnEntry&) const = default;
};

// So many unreadable entries are named, and so many more are told apart: anybody who may write
// leases can make millions of them.
inline constexpr std::size_t kMostBadEntries = 1'000;
inline constexpr std::size_t kMostUnnamedBad = 50'000;
// Of BadEntry::key.
std::uint64_t bad_digest(std::string_view key);

// What it means for us that `found` is the value of our own key, where we wrote `written`; `lasts`:
// it stays for as long as it was written for.
OwnEntry classify_own(const Result<Lease>& found, const LeaseAttrs& written, bool lasts);

// What a store's watch delivers.
struct LeaseUpdate {
  bool snapshot = false;      // `leases` and `bad` are all there is
  std::vector<Lease> leases;  // new or changed
  std::vector<LeaseKey> removed;
  std::vector<BadEntry> bad;            // the first kMostBadEntries
  std::vector<std::uint64_t> more_bad;  // of further ones bad_digest(), kMostUnnamedBad at most
  // Of all bad entries those whose key names subnets: these are held by somebody, and the lease
  // that was there has not gone.
  std::vector<LeaseKey> unreadable;
  std::vector<std::string> bad_removed;  // keys of former `bad` entries that are gone
  // As soon as acquire() or renew() has written something: with each snapshot, and whenever
  // somebody, ourselves included, changed the entry.
  std::optional<OwnEntry> own;
  bool operator==(const LeaseUpdate&) const = default;
};

// Notes an entry that is none; the second also that whom its key names holds these subnets, where
// `key` is as the store has it.
void add_bad_entry(LeaseUpdate& update, BadEntry entry);
void add_bad(LeaseUpdate& update, std::string_view key, std::string_view reason);

}  // namespace flannel
