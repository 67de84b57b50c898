#include "store/last_known_state.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "store/sqlite.h"

namespace flannel {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

constexpr DatabaseFormat kStateFormat{
    .application_id = 0x666c616b,  // "flak"; the lease file has another
    .version = 1,
    .tables =
        "CREATE TABLE node(config TEXT NOT NULL, own_key TEXT NOT NULL,"
        " own_value TEXT NOT NULL, time INTEGER NOT NULL);"
        "CREATE TABLE leases(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    .links = Links::refused,  // the name is ours: one can only have been planted
};

Lease read_row(const Statement& row, int column) {
  Result<Lease> lease = read_lease(row.text(column), row.text(column + 1));
  if (!lease) {
    throw std::runtime_error(lease.error().text);
  }
  return std::move(*lease);
}

LastKnownState read_state(const Database& database) {
  Statement node(database, "SELECT config, own_key, own_value, time FROM node");
  if (!node.step()) {
    throw std::runtime_error(database.path() + " is empty");
  }
  LastKnownState state;
  state.config = node.text(0);
  state.own = read_row(node, 1);
  state.time = system_clock::time_point(seconds(node.number(3)));
  Statement leases(database, "SELECT key, value FROM leases");
  while (leases.step()) {
    state.peers.push_back(read_row(leases, 0));
  }
  return state;
}

using Row = std::pair<std::string, std::string>;  // of the table `leases`

std::vector<Row> rows_of(const std::vector<Lease>& leases) {
  std::vector<Row> rows;
  rows.reserve(leases.size());
  for (const Lease& lease : leases) {
    rows.emplace_back(to_text(lease.key), to_json(lease.attrs));
  }
  std::ranges::sort(rows, {}, &Row::first);
  return rows;
}

constexpr const char* kPutLease = "INSERT OR REPLACE INTO leases VALUES(?, ?)";

void remove_leases(const Database& database, const std::vector<std::string>& keys) {
  Statement remove(database, "DELETE FROM leases WHERE key = ?");
  for (const std::string& key : keys) {
    remove.bind(0, key).run();
  }
}

// Of thousands of leases few change: the disk is to be troubled with those alone.
void write_differences(const Database& database, const std::vector<Row>& rows) {
  std::vector<std::string> gone;
  std::vector<const Row*> changed;
  auto row = rows.begin();
  Statement have(database, "SELECT key, value FROM leases ORDER BY key");
  while (have.step()) {
    const std::string key(have.text(0));
    for (; row != rows.end() && row->first < key; ++row) {
      changed.push_back(&*row);
    }
    if (row == rows.end() || row->first != key) {
      gone.push_back(key);
      continue;
    }
    if (row->second != have.text(1)) {
      changed.push_back(&*row);
    }
    ++row;
  }
  for (; row != rows.end(); ++row) {
    changed.push_back(&*row);
  }
  remove_leases(database, gone);
  Statement put(database, kPutLease);
  for (const Row* changed_row : changed) {
    put.bind(0, changed_row->first).bind(1, changed_row->second).run();
  }
}

void write_node(const Database& database, const LastKnownState& state) {
  database.execute("DELETE FROM node");
  Statement(database, "INSERT INTO node VALUES(?, ?, ?, ?)")
      .bind(0, state.config)
      .bind(1, to_text(state.own.key))
      .bind(2, to_json(state.own.attrs))
      .bind(3, std::chrono::duration_cast<seconds>(state.time.time_since_epoch()).count())
      .run();
}

void write_state(const std::string& path, const LastKnownState& state) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  Database::create(path);
  const Database database = Database::open_own(path, kStateFormat);
  database.execute("PRAGMA cache_size=-256");
  Transaction transaction(database);
  write_node(database, state);
  write_differences(database, rows_of(state.peers));
  transaction.commit();
}

void write_changes_to(const std::string& path, const LastKnownState& state,
                      std::span<const LeaseKey> gone) {
  const Database database = Database::open_own(path, kStateFormat);
  Transaction transaction(database);
  if (database.number("SELECT count(*) FROM node") == 0) {
    throw std::runtime_error(path + " is empty");
  }
  write_node(database, state);
  std::vector<std::string> keys;
  for (const LeaseKey& key : gone) {
    keys.push_back(to_text(key));
  }
  remove_leases(database, keys);
  Statement put(database, kPutLease);
  for (const Lease& lease : state.peers) {
    put.bind(0, to_text(lease.key)).bind(1, to_json(lease.attrs)).run();
  }
  transaction.commit();
}

}  // namespace

LastKnownStateFile::LastKnownStateFile(const std::string& directory, const std::string& identity)
    : path_(fmt::format("{}/last-known-{:016x}.db", directory, stable_hash(identity))) {}

Result<LastKnownState> LastKnownStateFile::read() const {
  try {
    return read_state(Database::open_own(path_, kStateFormat));
  } catch (const std::runtime_error& error) {
    return fail("{}", error.what());
  }
}

Result<void> LastKnownStateFile::write(const LastKnownState& state) const {
  try {
    try {
      write_state(path_, state);
    } catch (const SqliteError& error) {
      if (!error.is_damage()) {
        throw;
      }
      std::filesystem::remove(path_);  // nobody can use what is left of it
      write_state(path_, state);
    }
    return {};
  } catch (const std::runtime_error& error) {
    return fail("{}", error.what());
  }
}

Result<void> LastKnownStateFile::write_changes(const LastKnownState& state,
                                               std::span<const LeaseKey> gone) const {
  try {
    write_changes_to(path_, state, gone);
    return {};
  } catch (const std::runtime_error& error) {
    return fail("{}", error.what());
  }
}

}  // namespace flannel
