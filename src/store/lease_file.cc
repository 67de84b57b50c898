#include "store/lease_file.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>

#include "store/store.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::system_clock::time_point;

// "flan", in SQLite's header, where `file` and others look.
constexpr std::int64_t kApplicationId = 0x666c616e;
constexpr std::int64_t kVersion = 1;

std::int64_t to_ms(TimePoint time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
}

std::uint64_t inode_of(const std::string& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

Database open_file(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) {
    std::filesystem::create_directories(folder, ignored);
  }
  const mode_t mask = ::umask(0077);
  try {
    Database database(path);
    database.number("PRAGMA schema_version");  // creates the file, and refuses what is none
    ::umask(mask);
    return database;
  } catch (...) {
    ::umask(mask);
    throw;
  }
}

void prepare_tables(const Database& database) {
  const std::int64_t id = database.number("PRAGMA application_id");
  const std::int64_t version = database.number("PRAGMA user_version");
  const std::int64_t tables = database.number("SELECT count(*) FROM sqlite_master");
  if (tables > 0 && id != kApplicationId) {
    throw std::runtime_error(fmt::format(
        "{} is an SQLite file of another program (application id {})", database.path(), id));
  }
  if (version > kVersion) {
    throw std::runtime_error(fmt::format("{} has version {}, and this flanneld knows {}",
                                         database.path(), version, kVersion));
  }
  // Little memory, no sync at each commit: a crash of the machine may lose the last renewal.
  database.execute("PRAGMA cache_size=-256; PRAGMA synchronous=NORMAL");
  if (version == kVersion) {
    return;
  }
  database.execute("PRAGMA journal_mode=WAL");
  Transaction transaction(database);
  database.execute(
      fmt::format("CREATE TABLE IF NOT EXISTS config(text TEXT NOT NULL);"
                  "CREATE TABLE IF NOT EXISTS leases(key TEXT PRIMARY KEY, value TEXT NOT NULL,"
                  " expiry INTEGER, revision INTEGER NOT NULL) WITHOUT ROWID;"
                  "CREATE INDEX IF NOT EXISTS newest ON leases(revision);"
                  "CREATE INDEX IF NOT EXISTS expiries ON leases(expiry);"
                  "CREATE TABLE IF NOT EXISTS counter(revision INTEGER NOT NULL);"
                  "INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);"
                  "PRAGMA application_id={}; PRAGMA user_version={}",
                  kApplicationId, kVersion));
  transaction.commit();
}

Result<Lease> read_row(const Statement& row) {
  const Result<LeaseKey> key = parse_lease_key(row.text(0));
  if (!key) {
    return std::unexpected(key.error());
  }
  Result<LeaseAttrs> attrs = parse_lease_attrs(row.text(1));
  if (!attrs) {
    return fail("{}: {}", row.text(1).substr(0, 200), attrs.error().text);
  }
  Lease lease{*key, std::move(*attrs), std::nullopt};
  if (!row.is_null(2)) {
    lease.expiry = TimePoint(milliseconds(row.number(2)));
  }
  return lease;
}

bool same_node(const LeaseAttrs& a, const LeaseAttrs& b) {
  return a.public_ip == b.public_ip && a.public_ipv6 == b.public_ipv6;
}

}  // namespace

LeaseFile::LeaseFile(const std::string& path, Now now)
    : database_(open_file(path)), now_(std::move(now)) {
  prepare_tables(database_);
  inode_ = inode_of(path);
}

std::int64_t LeaseFile::now_ms() const {
  return to_ms(now_());
}

bool LeaseFile::is_still_there() const {
  return inode_of(path()) == inode_;
}

std::optional<std::string> LeaseFile::config() const {
  Statement select(database_, "SELECT text FROM config");
  if (!select.step()) {
    return std::nullopt;
  }
  return std::string(select.text(0));
}

void LeaseFile::set_config(std::string_view text) {
  Transaction transaction(database_);
  database_.execute("DELETE FROM config");
  Statement(database_, "INSERT INTO config VALUES(?)").bind(0, text).run();
  transaction.commit();
}

std::int64_t LeaseFile::revision() const {
  return database_.number("SELECT revision FROM counter");
}

// Inside a transaction.
std::vector<Lease> LeaseFile::live_leases() const {
  std::vector<Lease> leases;
  Statement select(database_,
                   "SELECT key, value, expiry FROM leases WHERE expiry IS NULL OR expiry > ?");
  select.bind(0, now_ms());
  while (select.step()) {
    if (Result<Lease> lease = read_row(select)) {
      leases.push_back(std::move(*lease));
    }
  }
  return leases;
}

std::vector<Lease> LeaseFile::leases() const {
  return live_leases();
}

void LeaseFile::write(const Lease& lease) {
  database_.execute("UPDATE counter SET revision = revision + 1");
  Statement insert(database_,
                   "INSERT OR REPLACE INTO leases VALUES(?, ?, ?, (SELECT revision FROM counter))");
  insert.bind(0, to_text(lease.key)).bind(1, to_json(lease.attrs));
  if (lease.expiry) {
    insert.bind(2, to_ms(*lease.expiry));
  } else {
    insert.bind(2, std::nullopt);
  }
  insert.run();
}

void LeaseFile::put(std::span<const Lease> leases) {
  Transaction transaction(database_);
  for (const Lease& lease : leases) {
    write(lease);
  }
  transaction.commit();
}

void LeaseFile::remove(const LeaseKey& key) {
  Transaction transaction(database_);
  database_.execute("UPDATE counter SET revision = revision + 1");
  Statement(database_, "DELETE FROM leases WHERE key = ?").bind(0, to_text(key)).run();
  transaction.commit();
}

Result<Lease> LeaseFile::acquire(const AcquireRequest& request) {
  Transaction transaction(database_);
  const Result<Choice> choice = choose_subnet(request, live_leases(), random_below());
  if (!choice) {
    return std::unexpected(choice.error());
  }
  for (const LeaseKey& key : choice->discard) {
    Statement(database_, "DELETE FROM leases WHERE key = ?").bind(0, to_text(key)).run();
  }
  Lease lease{choice->key, request.attrs, std::nullopt};
  if (!choice->permanent) {
    lease.expiry = now_() + kLeaseTime;
  }
  write(lease);
  transaction.commit();
  written_ = lease.attrs;
  return lease;
}

Result<Lease> LeaseFile::renew(const Lease& lease) {
  Transaction transaction(database_);
  for (const Lease& other : live_leases()) {
    const bool overlaps = (lease.key.v4 && other.key.v4 && lease.key.v4->overlaps(*other.key.v4)) ||
                          (lease.key.v6 && other.key.v6 && lease.key.v6->overlaps(*other.key.v6));
    // Our own entry may still have the address we had when we wrote it.
    const bool ours = other.key == lease.key && (same_node(other.attrs, lease.attrs) ||
                                                 same_node(other.attrs, written_));
    if (overlaps && !ours) {
      return fail(
          "{} is held by {}", to_text(other.key),
          other.attrs.public_ip.value_or(other.attrs.public_ipv6.value_or(IpAddr())).to_text());
    }
  }
  Lease renewed = lease;
  if (lease.expiry) {
    renewed.expiry = now_() + kLeaseTime;
  }
  write(renewed);
  transaction.commit();
  written_ = renewed.attrs;
  return renewed;
}

std::optional<TimePoint> LeaseFile::expire() {
  if (database_.number(fmt::format("SELECT count(*) FROM leases WHERE expiry <= {}", now_ms())) >
      0) {
    Transaction transaction(database_);
    database_.execute("UPDATE counter SET revision = revision + 1");
    database_.execute(fmt::format("DELETE FROM leases WHERE expiry <= {}", now_ms()));
    transaction.commit();
  }
  const std::int64_t next = database_.number("SELECT min(expiry) FROM leases");
  return next == 0 ? std::nullopt : std::optional(TimePoint(milliseconds(next)));
}

LeaseFile::Rows LeaseFile::rows_since(std::int64_t revision) const {
  Rows rows;
  database_.execute("BEGIN");
  try {
    rows.revision = this->revision();
    Statement changed(database_, "SELECT key, value, expiry FROM leases WHERE revision > ?");
    changed.bind(0, revision);
    while (changed.step()) {
      Result<Lease> lease = read_row(changed);
      if (lease) {
        rows.changed.push_back(std::move(*lease));
      } else {
        rows.bad.push_back({std::string(changed.text(0)), lease.error().text});
      }
    }
    Statement keys(database_, "SELECT key FROM leases ORDER BY key");
    while (keys.step()) {
      rows.keys.emplace_back(keys.text(0));
    }
  } catch (...) {
    ::sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  database_.execute("COMMIT");
  return rows;
}

}  // namespace flannel
