#include "store/lease_file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/printable.h"
#include "store/store.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::system_clock::time_point;

constexpr DatabaseFormat kLeaseFormat{
    .application_id = 0x666c616e,  // "flan"
    .version = 1,
    .settings = "PRAGMA journal_mode=WAL",
    .tables =
        "CREATE TABLE config(text TEXT NOT NULL);"
        "CREATE TABLE leases(key TEXT PRIMARY KEY, value TEXT NOT NULL,"
        " expiry INTEGER, revision INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX newest ON leases(revision);"
        "CREATE INDEX expiries ON leases(expiry);"
        "CREATE TABLE counter(revision INTEGER NOT NULL);"
        "INSERT INTO counter VALUES(0)",
    .links = Links::followed,  // people choose the path
};
// Who looks after each change needs the latest; the rest is for who was busy meanwhile.
constexpr const char* kRemovals =
    "CREATE TABLE IF NOT EXISTS removed(number INTEGER PRIMARY KEY, key TEXT NOT NULL);"
    "CREATE TRIGGER IF NOT EXISTS removal AFTER DELETE ON leases BEGIN"
    " INSERT INTO removed(key) VALUES(OLD.key); END;"
    "CREATE TRIGGER IF NOT EXISTS renaming AFTER UPDATE OF key ON leases BEGIN"
    " INSERT INTO removed(key) VALUES(OLD.key); END;"
    "CREATE TRIGGER IF NOT EXISTS forgetting AFTER INSERT ON removed BEGIN"
    " DELETE FROM removed WHERE number <= NEW.number - 1000; END";
constexpr std::int64_t kBeforeAll = -1;  // revisions count from 0
// Opening holds the lock for milliseconds; the daemon's loop stands still while it is waited for.
constexpr milliseconds kLockWithin{1'000};

std::int64_t to_ms(TimePoint time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
}

TimePoint from_ms(std::int64_t ms) {
  const std::int64_t most =
      std::chrono::duration_cast<milliseconds>(TimePoint::duration::max()).count();
  return TimePoint(milliseconds(std::clamp<std::int64_t>(ms, 0, most)));
}

// A moment of the file in boot time, and back; both clocks are read now.
BootClock::time_point to_boot_time(std::int64_t ms, TimePoint now) {
  return BootClock::now() +
         std::clamp<milliseconds>(std::chrono::duration_cast<milliseconds>(from_ms(ms) - now),
                                  -kFarAway, kFarAway);
}

std::int64_t to_file_time(BootClock::time_point time, TimePoint now) {
  const auto left = std::chrono::duration_cast<milliseconds>(time - BootClock::now());
  return to_ms(now) + std::clamp<milliseconds>(left, -kFarAway, kFarAway).count();
}

// Holds `path`-lock: SQLite's own locks do not cover making a file and its turn to WAL. Not the
// file's own lock, since closing any descriptor of it gives up SQLite's; nor the directory's, which
// everybody may take who may read it.
UniqueFd lock_beside(const std::string& path) {
  const std::string name = path + "-lock";
  UniqueFd fd(::open(name.c_str(), O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) {
    throw std::runtime_error(fmt::format("open {}: {}", name, std::strerror(errno)));
  }
  const auto limit = std::chrono::steady_clock::now() + kLockWithin;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw std::runtime_error(fmt::format("lock {}: {}", name, std::strerror(errno)));
    }
    if (std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error(fmt::format("{} is locked by another process", name));
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return fd;
}

Database open_file(const std::string& path, LeaseFile::IfMissing missing) {
  const bool create = missing == LeaseFile::IfMissing::create;
  if (create) {
    std::filesystem::create_directories(std::filesystem::absolute(path).parent_path());
  } else if (!std::filesystem::exists(path)) {  // it is not to leave a lock's
    throw std::runtime_error(fmt::format("{}: {}", path, std::strerror(ENOENT)));
  }
  const UniqueFd lock = lock_beside(path);
  if (create) {
    Database::create(path);
  }
  Database database = Database::open_own(path, kLeaseFormat);
  database.execute(kRemovals);
  // Little memory, no sync at each commit: a crash of the machine may lose the last renewal.
  database.execute("PRAGMA cache_size=-256; PRAGMA synchronous=NORMAL");
  return database;
}

}  // namespace

LeaseFile::LeaseFile(const std::string& path, IfMissing missing, Now now)
    : database_(open_file(path, missing)), now_(std::move(now)) {}

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

LeaseFile::Position LeaseFile::position() const {
  Statement select(database_,
                   "SELECT (SELECT revision FROM counter), (SELECT max(number) FROM removed)");
  select.step();
  return {select.number(0), select.number(1)};
}

Result<Lease> LeaseFile::read_row(const Statement& row) const {
  Result<Lease> lease = read_lease(row.text(0), row.text(1));
  if (lease && !row.is_null(2)) {
    lease->expiry = to_boot_time(row.number(2), now_());
  }
  return lease;
}

std::vector<Lease> LeaseFile::live_leases(BadRows bad, const LeaseKey& but) const {
  std::vector<Lease> leases;
  Statement select(database_,
                   "SELECT key, value, expiry FROM leases WHERE expiry IS NULL OR expiry > ?");
  select.bind(0, to_ms(now_()));
  while (select.step()) {
    Result<Lease> lease = read_row(select);
    if (lease) {
      leases.push_back(std::move(*lease));
    } else if (bad == BadRows::keep_subnets) {
      const Result<LeaseKey> key = parse_lease_key(select.text(0));
      if (key && *key != but) {
        leases.push_back({.key = *key, .attrs = {}, .expiry = {}});
      }
    }
  }
  return leases;
}

std::vector<Lease> LeaseFile::leases() const {
  return live_leases(BadRows::skip);
}

// Once in each transaction that changes leases, before it does.
void LeaseFile::count_change() {
  database_.execute("UPDATE counter SET revision = revision + 1");
}

void LeaseFile::write(const Lease& lease, std::optional<std::int64_t> expiry) {
  Statement insert(database_,
                   "INSERT OR REPLACE INTO leases VALUES(?, ?, ?, (SELECT revision FROM counter))");
  insert.bind(0, to_text(lease.key)).bind(1, to_json(lease.attrs));
  if (expiry) {
    insert.bind(2, *expiry);
  } else {
    insert.bind(2, std::nullopt);
  }
  insert.run();
}

// With a new expiry.
Lease LeaseFile::write_own(Lease lease, bool permanent) {
  lease.expiry.reset();
  written_expiry_.reset();
  if (!permanent) {
    lease.expiry = BootClock::now() + kLeaseTime;
    written_expiry_ = to_ms(now_() + kLeaseTime);
  }
  write(lease, written_expiry_);
  written_ = lease;
  ++writes_;
  return lease;
}

void LeaseFile::erase(const LeaseKey& key) {
  Statement(database_, "DELETE FROM leases WHERE key = ?").bind(0, to_text(key)).run();
}

void LeaseFile::put(std::span<const Lease> leases) {
  Transaction transaction(database_);
  count_change();
  for (const Lease& lease : leases) {
    write(lease, lease.expiry ? std::optional(to_file_time(*lease.expiry, now_())) : std::nullopt);
  }
  transaction.commit();
}

void LeaseFile::remove(const LeaseKey& key) {
  Transaction transaction(database_);
  count_change();
  erase(key);
  transaction.commit();
}

Result<Lease> LeaseFile::acquire(const AcquireRequest& request) {
  Transaction transaction(database_);
  const Result<Choice> choice =
      choose_subnet(request, live_leases(BadRows::keep_subnets), random_below());
  if (!choice) {
    return std::unexpected(choice.error());
  }
  count_change();
  for (const LeaseKey& key : choice->discard) {
    erase(key);
  }
  Lease lease = write_own({choice->key, request.attrs, std::nullopt}, choice->permanent);
  transaction.commit();
  return lease;
}

// Our own entry may still have the address we had when we wrote it.
bool LeaseFile::is_ours(const Lease& entry, const Lease& lease) const {
  return entry.key == lease.key &&
         (is_same_node(lease.key, entry.attrs, lease.attrs) ||
          (written_ && is_same_node(lease.key, entry.attrs, written_->attrs)));
}

bool LeaseFile::is_reserved(const LeaseKey& key) const {
  Statement select(database_, "SELECT key, value, expiry FROM leases WHERE key = ?");
  select.bind(0, to_text(key));
  const bool is_there = select.step();
  const Result<Lease> lease = is_there ? read_row(select) : fail("no row");
  return lease && !lease->expiry;  // what cannot be read reserves nothing
}

// As long as the entry is there it is ours or another's, whatever else there is; one that is gone
// is taken again only where nobody has a part of it.
Result<Lease> LeaseFile::renew(const Lease& lease) {
  Transaction transaction(database_);
  const std::vector<Lease> leases = live_leases(BadRows::keep_subnets, lease.key);
  const auto held = std::ranges::find(leases, lease.key, &Lease::key);
  for (const Lease& entry : held == leases.end() ? std::span(leases) : std::span(held, 1)) {
    const std::optional<Prefix> taken = overlap(lease.key, entry.key);
    if (taken && !is_ours(entry, lease)) {
      return fail("{} is held by {}", taken->to_text(), holder_text(entry));
    }
  }
  // Whatever the lease says: a reservation stays one, and what is gone is taken as any other.
  count_change();
  Lease renewed = write_own(lease, is_reserved(lease.key));
  transaction.commit();
  return renewed;
}

bool LeaseFile::has_expired(std::int64_t now) const {
  Statement expired(database_, "SELECT 1 FROM leases WHERE expiry <= ?");
  return expired.bind(0, now).step();
}

void LeaseFile::expire() {
  const std::int64_t now = to_ms(now_());
  if (!has_expired(now)) {  // no other writer need be waited for
    return;
  }
  Transaction transaction(database_);
  Statement(database_, "DELETE FROM leases WHERE expiry <= ?").bind(0, now).run();
  if (database_.changes() > 0) {  // otherwise another daemon was faster
    count_change();
    transaction.commit();
  }
}

std::optional<TimePoint> LeaseFile::next_expiry() const {
  Statement next(database_, "SELECT min(expiry) FROM leases WHERE typeof(expiry) = 'integer'");
  if (!next.step() || next.is_null(0)) {
    return std::nullopt;
  }
  return from_ms(next.number(0));
}

std::optional<LeaseFile::OwnRow> LeaseFile::own_row() const {
  if (!written_) {
    return std::nullopt;
  }
  OwnRow own{.writes = writes_, .revision = -1, .entry = {}};
  Statement select(database_, "SELECT key, value, expiry, revision FROM leases WHERE key = ?");
  select.bind(0, to_text(written_->key));
  if (!select.step()) {
    own.entry.state = OwnEntry::State::gone;
    return own;
  }
  const Result<Lease> found = read_row(select);
  own.revision = select.number(3);
  const std::optional<std::int64_t> expiry =
      select.is_null(2) ? std::nullopt : std::optional(select.number(2));
  own.entry = classify_own(found, written_->attrs, expiry == written_expiry_);
  return own;
}

// The numbers of what is removed have no gaps, and the latest is never forgotten.
bool LeaseFile::knows_all_since(const Position& seen, const Position& now) const {
  return seen.revision <= now.revision && seen.removals <= now.removals &&
         (seen.removals == now.removals ||
          database_.number("SELECT min(number) FROM removed") <= seen.removals + 1);
}

void LeaseFile::add_rows(LeaseUpdate& update, std::int64_t after_revision) const {
  Statement changed(database_,
                    "SELECT key, value, expiry FROM leases"
                    " WHERE revision > ? AND (expiry IS NULL OR expiry > ?)");
  changed.bind(0, after_revision).bind(1, to_ms(now_()));
  while (changed.step()) {
    Result<Lease> lease = read_row(changed);
    if (lease) {
      update.leases.push_back(std::move(*lease));
    } else {
      add_bad(update, changed.text(0), lease.error().text);
    }
  }
}

void LeaseFile::add_removed(LeaseUpdate& update, std::int64_t after) const {
  Statement removed(database_,
                    "SELECT DISTINCT key FROM removed WHERE number > ?"
                    " AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.key = removed.key)"
                    " ORDER BY key");
  removed.bind(0, after);
  while (removed.step()) {
    const std::string_view text = removed.text(0);
    const Result<LeaseKey> key = parse_lease_key(text);
    if (key && is_text_of(text, *key)) {
      update.removed.push_back(*key);
    } else {
      update.bad_removed.push_back(printable(text));
    }
  }
}

LeaseFile::Changes LeaseFile::changes_since(const std::optional<Position>& seen) const {
  const Transaction transaction(database_, Transaction::Kind::read);
  Changes changes;
  changes.position = position();
  if (changes.position == seen) {
    return changes;
  }
  changes.update.snapshot = !seen || !knows_all_since(*seen, changes.position);
  add_rows(changes.update, changes.update.snapshot ? kBeforeAll : seen->revision);
  if (!changes.update.snapshot) {
    add_removed(changes.update, seen->removals);
  }
  changes.own = own_row();
  changes.next_expiry = next_expiry();
  return changes;
}

}  // namespace flannel
