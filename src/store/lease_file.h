// The SQLite file of the local store: its format, and what is done to it in one transaction.
//
//   config(text)                          at most one row: the network configuration
//   leases(key, value, expiry, revision)  key and value as in etcd; expiry in milliseconds since
//                                         1970, NULL for a reservation; revision counts changes
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/lease.h"
#include "network/subnet_picker.h"
#include "store/sqlite.h"

namespace flannel {

using Now = std::function<std::chrono::system_clock::time_point()>;

class LeaseFile {
 public:
  // Opens the file, or makes it, mode 0600. Throws SqliteError; std::runtime_error for a file
  // that is not ours or of a newer version. What is not ours is not written to.
  LeaseFile(const std::string& path, Now now);

  const std::string& path() const { return database_.path(); }
  std::optional<std::string> config() const;
  void set_config(std::string_view text);

  // Entries that have not expired; bad ones are skipped here, and listed by changes_since().
  std::vector<Lease> leases() const;
  // Writes leases as they are given, over what is there.
  void put(std::span<const Lease> leases);
  void remove(const LeaseKey& key);

  Result<Lease> acquire(const AcquireRequest& request);
  Result<Lease> renew(const Lease& lease);

  // Removes what has expired; when the next one will.
  std::optional<std::chrono::system_clock::time_point> expire();

  // Counts every change made by any process.
  std::int64_t revision() const;
  // All rows newer than `revision`, and all keys there are, read in one transaction.
  struct Rows {
    std::int64_t revision = 0;
    std::vector<Lease> changed;
    std::vector<BadEntry> bad;
    std::vector<std::string> keys;  // every row's, in order
  };
  Rows rows_since(std::int64_t revision) const;
  // False where the file at path() is not the one we have open any more.
  bool is_still_there() const;

 private:
  void write(const Lease& lease);
  std::vector<Lease> live_leases() const;
  std::int64_t now_ms() const;

  Database database_;
  Now now_;
  std::uint64_t inode_ = 0;
  LeaseAttrs written_;  // of our own lease, as this process wrote it last
};

}  // namespace flannel
