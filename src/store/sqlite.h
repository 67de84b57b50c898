// SQLite as values: a database and its statements close themselves, errors are exceptions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/file.h"

struct sqlite3;
struct sqlite3_stmt;

namespace flannel {

// What SQLite said, with the file's name in front.
struct SqliteError : std::runtime_error {
  SqliteError(int code, const std::string& text) : std::runtime_error(text), code(code) {}
  bool is_damage() const;  // the file is no database, or not a whole one
  int code;                // SQLITE_BUSY, SQLITE_CORRUPT, …
};

class Database;

using StatementHandle = std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)>;

// A prepared statement, which the database keeps for the next of the same text: preparing takes
// longer than most statements do. Parameters and columns count from 0.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, std::int64_t number);
  Statement& bind(int parameter, std::nullopt_t);

  // True while there is a row.
  bool step();
  // Runs it to its end and makes it ready to be bound again.
  void run();

  std::string_view text(int column) const;  // valid until the next step
  std::int64_t number(int column) const;
  bool is_null(int column) const;

 private:
  Statement& bound(int code);

  const Database& database_;
  StatementHandle statement_;
};

// What tells files of ours from others'.
struct DatabaseFormat {
  std::int64_t application_id = 0;  // in SQLite's header, where `file` and others look
  std::int64_t version = 0;
  const char* settings = "";  // of a file, before it has tables
  const char* tables = "";
  Links links = Links::followed;
};

class Database {
 public:
  // Opens a file that exists; an empty one is an empty database. Its statements wait up to two
  // seconds for other processes, and end in SQLITE_INTERRUPT where they come to no end: a file may
  // have a recursive view in place of a table. Throws SqliteError.
  explicit Database(const std::string& path);
  // The same of a file of ours; one that is empty is made one. Throws std::runtime_error where it
  // is of another program, another version, another user than us and root, or no regular file.
  static Database open_own(const std::string& path, const DatabaseFormat& format);
  // Makes an empty file, mode 0600, where there is none. Throws std::runtime_error.
  static void create(const std::string& path);

  void execute(const std::string& sql) const;
  std::int64_t number(std::string_view sql) const;  // the first column of the first row
  const std::string& path() const { return path_; }
  // Rows changed by the last statement.
  int changes() const;
  // True while another connection writes, or is about to. Does not wait.
  bool is_being_written() const;
  // True where the file at path() is not the one that is open any more.
  bool has_moved() const;

  [[noreturn]] void fail(int code) const;
  sqlite3* get() const { return database_.get(); }
  // A statement begins.
  void allow_steps() const { *steps_left_ = kMostSteps; }
  // One that was prepared before and that nobody uses, or a new one.
  StatementHandle prepare(std::string_view sql) const;
  void keep(StatementHandle statement) const;

 private:
  // In thousands, of SQLite's virtual machine: some tenths of a second. A row takes about ten.
  static constexpr int kMostSteps = 20'000;

  std::string path_;
  std::unique_ptr<int> steps_left_ = std::make_unique<int>(kMostSteps);
  std::unique_ptr<sqlite3, int (*)(sqlite3*)> database_;
  mutable std::map<std::string, StatementHandle, std::less<>> prepared_;  // by their texts
};

// Rolled back where commit() was not reached. One that reads sees the file as it was at its first
// statement; one that writes waits for the other writers first.
class Transaction {
 public:
  enum class Kind { read, write };
  explicit Transaction(const Database& database, Kind kind = Kind::write);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  const Database& database_;
  bool open_ = true;
};

}  // namespace flannel
