#include "store/sqlite.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/printable.h"

namespace flannel {
namespace {

constexpr int kBusyMilliseconds = 2'000;

sqlite3* open_database(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      ::sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    const int system_error = raw == nullptr ? 0 : ::sqlite3_system_errno(raw);
    const std::string reason =
        system_error == 0 ? ::sqlite3_errstr(code) : std::strerror(system_error);
    ::sqlite3_close(raw);
    throw SqliteError(code, fmt::format("{}: {}", path, reason));
  }
  ::sqlite3_busy_timeout(raw, kBusyMilliseconds);
  return raw;
}

// Not by a descriptor: closing it would give up SQLite's locks on the file (fcntl(2)). Who could
// change the file between this look and the next could change it in any case.
void check_file(const std::string& path, Links links) {
  struct stat about{};
  const bool follow = links == Links::followed;
  if ((follow ? ::stat(path.c_str(), &about) : ::lstat(path.c_str(), &about)) != 0) {
    throw std::runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
  }
  if (!S_ISREG(about.st_mode)) {
    throw std::runtime_error(fmt::format("{}: {}", path,
                                         S_ISLNK(about.st_mode)   ? "a symbolic link"
                                         : S_ISDIR(about.st_mode) ? std::strerror(EISDIR)
                                                                  : "not a regular file"));
  }
  if (about.st_uid != ::geteuid() && about.st_uid != 0) {
    throw std::runtime_error(
        fmt::format("{} belongs to another user, whose id is {}", path, about.st_uid));
  }
}

bool is_empty(const Database& database) {
  return database.number("PRAGMA application_id") == 0 &&
         database.number("PRAGMA user_version") == 0 &&
         database.number("SELECT count(*) FROM sqlite_master") == 0;
}

// For another kind of journal SQLite does not wait where others have the file open.
void set_up(const Database& database, const DatabaseFormat& format) {
  constexpr std::chrono::milliseconds kPause{2};
  for (int left = kBusyMilliseconds / static_cast<int>(kPause.count());; --left) {
    try {
      database.execute(format.settings);
      return;
    } catch (const SqliteError& error) {
      if (error.code != SQLITE_BUSY || left == 0) {
        throw;
      }
    }
    std::this_thread::sleep_for(kPause);
  }
}

void make_tables(const Database& database, const DatabaseFormat& format) {
  set_up(database, format);
  Transaction transaction(database);
  if (!is_empty(database)) {
    return;  // another was first
  }
  database.execute(format.tables);
  database.execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}",
                               format.application_id, format.version));
  transaction.commit();
}

}  // namespace

bool SqliteError::is_damage() const {
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

Database::Database(const std::string& path)
    : path_(path), database_(open_database(path), ::sqlite3_close) {
  ::sqlite3_progress_handler(
      database_.get(), 1'000,
      [](void* steps_left) { return --*static_cast<int*>(steps_left) < 0 ? 1 : 0; },
      steps_left_.get());
}

Database Database::open_own(const std::string& path, const DatabaseFormat& format) {
  check_file(path, format.links);
  Database database(path);
  if (is_empty(database)) {
    make_tables(database, format);
  }
  const std::int64_t id = database.number("PRAGMA application_id");
  if (id != format.application_id) {
    throw std::runtime_error(
        fmt::format("{} is an SQLite file of another program (application id {})", path, id));
  }
  const std::int64_t version = database.number("PRAGMA user_version");
  if (version != format.version) {
    throw std::runtime_error(fmt::format("{} has version {}, and this flanneld knows {}", path,
                                         version, format.version));
  }
  return database;
}

void Database::create(const std::string& path) {
  const UniqueFd made(
      ::open(path.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) {
    throw std::runtime_error(fmt::format("create {}: {}", path, std::strerror(errno)));
  }
  if (made) {  // what is left of one that was removed while in use would be taken for its own
    for (const char* suffix : {"-wal", "-shm", "-journal"}) {
      std::error_code absent;
      std::filesystem::remove(path + suffix, absent);
    }
  }
}

void Database::fail(int code) const {
  const int primary = code & 0xff;
  if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED) {
    throw SqliteError(primary, fmt::format("{} is locked by another process", path_));
  }
  if (primary == SQLITE_NOTADB) {
    throw SqliteError(primary, fmt::format("{} is no SQLite file", path_));
  }
  if (primary == SQLITE_INTERRUPT) {
    throw SqliteError(primary, fmt::format("{}: a statement that comes to no end", path_));
  }
  // It may quote the file: the names in a schema that is damaged.
  throw SqliteError(primary,
                    fmt::format("{}: {}", path_, printable(::sqlite3_errmsg(database_.get()))));
}

void Database::execute(const std::string& sql) const {
  allow_steps();
  const int code = ::sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    fail(code);
  }
}

StatementHandle Database::prepare(std::string_view sql) const {
  allow_steps();
  if (const auto known = prepared_.find(sql); known != prepared_.end() && known->second) {
    return std::exchange(known->second, {nullptr, ::sqlite3_finalize});
  }
  sqlite3_stmt* raw = nullptr;
  const int code =
      ::sqlite3_prepare_v2(get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  if (code != SQLITE_OK) {
    fail(code);
  }
  return {raw, ::sqlite3_finalize};
}

// It holds no lock any more, nor what was bound.
void Database::keep(StatementHandle statement) const {
  ::sqlite3_reset(statement.get());
  ::sqlite3_clear_bindings(statement.get());
  const std::string text = ::sqlite3_sql(statement.get());
  prepared_.insert_or_assign(text, std::move(statement));
}

std::int64_t Database::number(std::string_view sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.number(0) : 0;
}

int Database::changes() const {
  return ::sqlite3_changes(database_.get());
}

bool Database::is_being_written() const {
  ::sqlite3_busy_timeout(database_.get(), 0);
  const int code =
      ::sqlite3_exec(database_.get(), "BEGIN IMMEDIATE; ROLLBACK", nullptr, nullptr, nullptr);
  ::sqlite3_busy_timeout(database_.get(), kBusyMilliseconds);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) {
    fail(code);
  }
  return code != SQLITE_OK;
}

bool Database::has_moved() const {
  int moved = 0;
  ::sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

Statement::Statement(const Database& database, std::string_view sql)
    : database_(database), statement_(database.prepare(sql)) {}

Statement::~Statement() {
  database_.keep(std::move(statement_));
}

Statement& Statement::bind(int parameter, std::string_view text) {
  const char* const bytes = text.data() == nullptr ? "" : text.data();  // nullptr would be NULL
  return bound(::sqlite3_bind_text64(statement_.get(), parameter + 1, bytes, text.size(),
                                     SQLITE_TRANSIENT, SQLITE_UTF8));
}

Statement& Statement::bind(int parameter, std::int64_t number) {
  return bound(::sqlite3_bind_int64(statement_.get(), parameter + 1, number));
}

Statement& Statement::bind(int parameter, std::nullopt_t) {
  return bound(::sqlite3_bind_null(statement_.get(), parameter + 1));
}

Statement& Statement::bound(int code) {
  if (code != SQLITE_OK) {
    database_.fail(code);
  }
  return *this;
}

bool Statement::step() {
  const int code = ::sqlite3_step(statement_.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    database_.fail(code);
  }
  return code == SQLITE_ROW;
}

void Statement::run() {
  database_.allow_steps();
  while (step()) {
  }
  ::sqlite3_reset(statement_.get());
}

std::string_view Statement::text(int column) const {
  const unsigned char* text = ::sqlite3_column_text(statement_.get(), column);
  const int size = ::sqlite3_column_bytes(statement_.get(), column);
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(text == nullptr ? 0 : size)};
}

std::int64_t Statement::number(int column) const {
  return ::sqlite3_column_int64(statement_.get(), column);
}

bool Statement::is_null(int column) const {
  return ::sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Transaction::Transaction(const Database& database, Kind kind) : database_(database) {
  database_.execute(kind == Kind::read ? "BEGIN" : "BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (open_) {
    ::sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace flannel
