#include "store/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <vector>

#include "base/printable.h"
#include "store/store_file_fixture.h"

namespace flannel {
namespace {

// What `work` throws.
template <class Work>
std::string error_of(Work work) {
  try {
    work();
  } catch (const SqliteError& error) {
    return error.what();
  }
  return "no error";
}

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() { write_file(path, ""); }

  TestDirectory directory;
  std::string path = directory.file("test.db");
};

TEST_F(SqliteTest, BindsAndReadsTextsNumbersAndNulls) {
  const Database database(path);
  database.execute("CREATE TABLE t(a TEXT NOT NULL, b INTEGER)");
  Statement insert(database, "INSERT INTO t VALUES(?, ?)");
  insert.bind(0, "x'; DROP TABLE t; --").bind(1, std::int64_t{1} << 62).run();
  insert.bind(0, std::string_view()).bind(1, std::nullopt).run();
  Statement select(database, "SELECT a, b FROM t ORDER BY rowid");
  ASSERT_TRUE(select.step());
  EXPECT_EQ(select.text(0), "x'; DROP TABLE t; --");
  EXPECT_EQ(select.number(1), std::int64_t{1} << 62);
  EXPECT_FALSE(select.is_null(1));
  ASSERT_TRUE(select.step());
  EXPECT_EQ(select.text(0), "");
  EXPECT_TRUE(select.is_null(1));
  EXPECT_FALSE(select.step());
}

// What the one before left in it is gone: its row, its lock, its parameters.
TEST_F(SqliteTest, AStatementIsUsedAgainAsNew) {
  const Database database(path), other(path);
  database.execute("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES(1), (2)");
  constexpr std::string_view kSelect = "SELECT a, ? FROM t ORDER BY a";
  {
    Statement first(database, kSelect);
    ASSERT_TRUE(first.bind(0, std::int64_t{7}).step());
    Statement second(database, kSelect);  // while that one is not done
    ASSERT_TRUE(second.step());
    EXPECT_EQ(second.number(0), 1);
    EXPECT_TRUE(second.is_null(1));
  }
  other.execute("INSERT INTO t VALUES(0); ALTER TABLE t ADD COLUMN b");
  Statement again(database, kSelect);
  ASSERT_TRUE(again.step());
  EXPECT_EQ(again.number(0), 0);
  EXPECT_TRUE(again.is_null(1));
}

TEST_F(SqliteTest, ErrorsNameTheFileAndWhatIsWrong) {
  const Database database(path);
  EXPECT_EQ(error_of([&] { database.execute("SELECT * FROM nowhere"); }),
            path + ": no such table: nowhere");
  EXPECT_EQ(error_of([&] { Statement(database, "SELECT ?").bind(1, "second"); }),
            path + ": column index out of range");
  const std::string missing = directory.file("missing.db");
  EXPECT_EQ(error_of([&] { const Database none(missing); }),
            missing + ": No such file or directory");
  EXPECT_FALSE(std::filesystem::exists(missing));
}

TEST_F(SqliteTest, WhatAnErrorQuotesOfTheFileIsPrintable) {
  {
    const Database database(path);
    database.execute(
        "CREATE TABLE t(a); PRAGMA writable_schema=ON;"
        "UPDATE sqlite_master SET sql='CREATE \x1b[2J\n', name='\x1b[2J\n'");
  }
  const Database database(path);
  const std::string error = error_of([&] { database.execute("SELECT * FROM t"); });
  EXPECT_NE(error.find(R"(\x1b[2J\x0a)"), std::string::npos) << error;
  EXPECT_EQ(printable(error, SIZE_MAX), error);
}

TEST_F(SqliteTest, ATransactionThatWasNotCommittedIsRolledBack) {
  const Database database(path);
  database.execute("CREATE TABLE t(a INTEGER)");
  {
    const Transaction transaction(database);
    database.execute("INSERT INTO t VALUES(1)");
  }
  EXPECT_EQ(database.number("SELECT count(*) FROM t"), 0);
  Transaction transaction(database);
  database.execute("INSERT INTO t VALUES(2)");
  EXPECT_EQ(database.changes(), 1);
  transaction.commit();
  EXPECT_EQ(database.number("SELECT a FROM t"), 2);
}

TEST_F(SqliteTest, AWriterThatWaitedInVainSaysSo) {
  const Database first(path);
  first.execute("CREATE TABLE t(a INTEGER)");
  const Database second(path);
  const Transaction writing(first);
  EXPECT_EQ(error_of([&] { const Transaction waiting(second); }),
            path + " is locked by another process");
}

TEST_F(SqliteTest, NoticesThatItsFileWasReplaced) {
  const Database database(path);
  database.execute("CREATE TABLE t(a INTEGER)");
  EXPECT_FALSE(database.has_moved());
  std::filesystem::rename(path, path + ".old");
  EXPECT_TRUE(database.has_moved());
  write_file(path, "");
  EXPECT_TRUE(database.has_moved());
  std::filesystem::rename(path + ".old", path);
  EXPECT_FALSE(database.has_moved());
}

class OwnDatabaseTest : public SqliteTest {
 protected:
  std::string refusal(const std::string& file, Links links = Links::followed) const {
    try {
      Database::open_own(file, {.application_id = 7,
                                .version = 1,
                                .settings = "PRAGMA journal_mode=WAL",
                                .tables = "CREATE TABLE t(a)",
                                .links = links});
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  }
};

TEST_F(OwnDatabaseTest, IsMadeOfAnEmptyFileAndOpenedAgain) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(refusal(path), "none");
    EXPECT_EQ(Database(path).number("PRAGMA application_id"), 7);
    EXPECT_EQ(Database(path).number("SELECT count(*) FROM t"), 0);
  }
}

// As two daemons of a machine do that start together.
TEST_F(OwnDatabaseTest, IsMadeByOneWhereSeveralOpenItAtOnce) {
  for (int round = 0; round < 20; ++round) {
    const std::string file = directory.file(fmt::format("file{}", round));
    Database::create(file);
    std::vector<std::future<std::string>> openers;
    for (int i = 0; i < 4; ++i) {
      openers.push_back(std::async(std::launch::async, [&] { return refusal(file); }));
    }
    for (std::future<std::string>& opener : openers) {
      EXPECT_EQ(opener.get(), "none");
    }
  }
}

// Nor waited for: opening a FIFO would be.
TEST_F(OwnDatabaseTest, WhatSomebodyPlantedIsRefused) {
  const std::string fifo = directory.file("fifo"), link = directory.file("link");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(refusal(fifo), fifo + ": not a regular file");
  std::filesystem::create_symlink(path, link);
  EXPECT_EQ(refusal(link), "none") << "people choose such paths";
  EXPECT_EQ(refusal(link, Links::refused), link + ": a symbolic link");
  EXPECT_EQ(refusal(directory.file("none")), directory.file("none: No such file or directory"));
  if (::chown(path.c_str(), 4711, 4711) == 0) {
    EXPECT_EQ(refusal(path), path + " belongs to another user, whose id is 4711");
  }
}

TEST_F(OwnDatabaseTest, ALinkIsNotFollowedToMakeAFile) {
  const std::string link = directory.file("link"), victim = directory.file("victim");
  std::filesystem::create_symlink(victim, link);
  Database::create(link);
  EXPECT_FALSE(std::filesystem::exists(victim));
}

}  // namespace
}  // namespace flannel
