// The SQLite file of the local store: its format, and what is done to it in one transaction.
//
//   config(text)                          at most one row: the network configuration
//   leases(key, value, expiry, revision)  key and value as in etcd; expiry in milliseconds since
//                                         1970, NULL for a reservation; revision as of its change
//   counter(revision)                     one row: transactions so far that changed leases
//   removed(number, key)                  the latest leases that were deleted, in order
//
// `removed` is filled by triggers, so by whoever deletes; a file without is given them when it is
// opened.
//
// A file that is not ours is not written to. What may be in ours is not trusted either: it is a
// file, and people have editors.
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

// The time of day, by which the file says when leases expire: it outlives the boot, of whose
// clock Lease::expiry is.
using Now = std::function<std::chrono::system_clock::time_point()>;

class LeaseFile {
 public:
  enum class IfMissing { create, refuse };

  // Opens the file; `create` makes it where there is none, mode 0600, with its directories. Throws
  // SqliteError; std::runtime_error for a file that is missing, not ours or of a newer version, and
  // after a second where another process holds `path`-lock, which is ours to take while we open it.
  LeaseFile(const std::string& path, IfMissing missing, Now now);

  const std::string& path() const { return database_.path(); }
  std::optional<std::string> config() const;
  void set_config(std::string_view text);

  // Those that have not expired; bad entries are skipped here, and listed by changes_since().
  std::vector<Lease> leases() const;
  // Writes leases as they are given, over what is there.
  void put(std::span<const Lease> leases);
  void remove(const LeaseKey& key);

  // As LeaseStore's. A subnet whose entry cannot be read is not given to anybody else.
  Result<Lease> acquire(const AcquireRequest& request);
  Result<Lease> renew(const Lease& lease);

  // Removes what has expired.
  void expire();

  // How far the file is: the last change that any process made.
  struct Position {
    std::int64_t revision = 0;
    std::int64_t removals = 0;
    bool operator==(const Position&) const = default;
  };
  Position position() const;
  // True while another process writes: its bytes are in the file, and inotify has notified of them,
  // a moment before others can see what it wrote.
  bool is_being_written() const { return database_.is_being_written(); }
  // The row of our own key, of which this object, or one it continues from, has written something.
  struct OwnRow {
    std::uint64_t writes = 0;    // by ourselves so far
    std::int64_t revision = -1;  // of the row; -1: it is gone
    OwnEntry entry;
  };
  // What happened since `seen`, read in one transaction: no other rows are looked at, and where the
  // position is the same, none. A lease that came and went meanwhile is among the removed. It is a
  // snapshot where nothing was seen yet, where more was removed since than `removed` has, and where
  // an older copy of the file was restored.
  struct Changes {
    Position position;
    LeaseUpdate update;  // without `own`, and without what has expired
    std::optional<OwnRow> own;
    std::optional<std::chrono::system_clock::time_point> next_expiry;
  };
  Changes changes_since(const std::optional<Position>& seen) const;
  // False where the file at path() was removed or replaced.
  bool is_still_there() const { return !database_.has_moved(); }
  // Takes over what `replaced` knows of our own key.
  void continue_from(const LeaseFile& replaced) {
    written_ = replaced.written_;
    written_expiry_ = replaced.written_expiry_;
    writes_ = replaced.writes_;
  }

 private:
  enum class BadRows { skip, keep_subnets };
  // Of what cannot be read, the entry of `but` holds no subnet.
  std::vector<Lease> live_leases(BadRows bad, const LeaseKey& but = {}) const;
  bool is_reserved(const LeaseKey& key) const;
  bool is_ours(const Lease& entry, const Lease& lease) const;
  std::optional<OwnRow> own_row() const;
  bool has_expired(std::int64_t now) const;
  std::optional<std::chrono::system_clock::time_point> next_expiry() const;
  bool knows_all_since(const Position& seen, const Position& now) const;
  void add_rows(LeaseUpdate& update, std::int64_t after_revision) const;
  void add_removed(LeaseUpdate& update, std::int64_t after) const;
  void count_change();
  Result<Lease> read_row(const Statement& row) const;
  void write(const Lease& lease, std::optional<std::int64_t> expiry);
  Lease write_own(Lease lease, bool permanent);
  void erase(const LeaseKey& key);

  Database database_;
  Now now_;
  // Our own lease, as this process wrote it last, and its expiry in the file.
  std::optional<Lease> written_;
  std::optional<std::int64_t> written_expiry_;
  std::uint64_t writes_ = 0;
};

}  // namespace flannel
