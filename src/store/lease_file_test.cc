// The local store's file: how it is made, which files are refused, and what time does.
#include "store/lease_file.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/local_store.h"
#include "store/store_file_fixture.h"
#include "store/store_fixture.h"

namespace flannel {
namespace {

using IfMissing = LeaseFile::IfMissing;

class LeaseFileTest : public StoreFixture {
 protected:
  LeaseFile open(IfMissing missing = IfMissing::create) {
    return {path, missing, [this] { return now; }};
  }
  // What flanneld says about the file.
  std::string refusal() {
    const Result<std::unique_ptr<LeaseStore>> store = make_local_store(loop.get_executor(), path);
    return store ? "none" : store.error().text;
  }
  static std::optional<std::chrono::system_clock::time_point> next_expiry(const LeaseFile& file) {
    return file.changes_since(std::nullopt).next_expiry;
  }
  // That it says so, and leaves the file as it is, with nothing beside it but the lock.
  void expect_refused(const std::string& sentence) {
    const std::string before = bytes_of(path);
    EXPECT_EQ(refusal(), sentence);
    EXPECT_EQ(bytes_of(path), before);
    EXPECT_EQ(directory.count(), 2U);
  }
  Lease lease(const std::string& key, const std::string& ip) const {
    return {.key = key_of(key), .attrs = node(ip), .expiry = BootClock::now() + kLeaseTime};
  }

  TestDirectory directory;
  std::string path = directory.file("leases.db");
  std::chrono::system_clock::time_point now{std::chrono::seconds(1'800'000'000)};
};

TEST_F(LeaseFileTest, IsMadeForItsOwnerOnlyWithItsDirectories) {
  path = directory.file("some/where/leases.db");
  const LeaseFile file = open();
  EXPECT_EQ(file.config(), std::nullopt);
  EXPECT_EQ(file.leases(), std::vector<Lease>());
  for (const char* suffix : {"", "-wal", "-lock"}) {
    struct stat facts{};
    ASSERT_EQ(::stat((path + suffix).c_str(), &facts), 0) << suffix;
    EXPECT_EQ(facts.st_mode & 0777, 0600U) << suffix;
  }
}

TEST_F(LeaseFileTest, KeepsWhatIsWritten) {
  const std::vector<Lease> leases = {lease("10.5.1.0-24", "198.18.0.1"),
                                     lease("10.5.2.0-24", "198.18.0.2")};
  open().set_config("first");
  open().set_config("second");
  open().put(leases);
  EXPECT_EQ(open(IfMissing::refuse).config(), "second");
  const std::vector<Lease> read = open().leases();
  ASSERT_EQ(key_texts(read), key_texts(leases));
  for (const Lease& one : read) {
    EXPECT_EQ(one.attrs, (one.key == leases[0].key ? leases[0] : leases[1]).attrs);
    EXPECT_GT(*one.expiry, BootClock::now() + kLeaseTime - 1min) << "whatever the time of day is";
    EXPECT_LT(*one.expiry, BootClock::now() + kLeaseTime + 1min);
  }
  EXPECT_EQ(directory.count(), 2U) << "the last one to close leaves the file and its lock alone";
}

TEST_F(LeaseFileTest, IsNotMadeByThoseWhoOnlyLook) {
  const Result<std::vector<Lease>> leases = list_local_leases(path);
  ASSERT_FALSE(leases);
  EXPECT_EQ(leases.error().text, path + ": No such file or directory");
  EXPECT_EQ(directory.count(), 0U);
}

TEST_F(LeaseFileTest, AFileThatIsNoDatabaseIsRefused) {
  write_file(path, "These are a few words about my holidays. " + std::string(5000, 'x'));
  expect_refused(path + " is no SQLite file");
}

// The directory may be opened, and so locked, by everybody.
TEST_F(LeaseFileTest, OnlyItsOwnLockKeepsItFromBeingOpened) {
  const UniqueFd folder(::open(directory.file("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(folder.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(refusal(), "none");
  const UniqueFd lock(::open((path + "-lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(refusal(), path + "-lock is locked by another process");
}

TEST_F(LeaseFileTest, AViewInPlaceOfATableComesToAnEnd) {
  open();
  Database(path).execute(
      "DROP TABLE config; CREATE VIEW config(text) AS WITH RECURSIVE n(i) AS "
      "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'x' FROM n WHERE i < 0");
  const LeaseFile file = open();
  try {
    file.config();
    FAIL() << "it has a row";
  } catch (const SqliteError& error) {
    EXPECT_EQ(error.what(), path + ": a statement that comes to no end");
  }
}

TEST_F(LeaseFileTest, AnotherProgramsDatabaseIsRefused) {
  write_file(path, "");
  Database(path).execute("CREATE TABLE recipes(cake TEXT); PRAGMA application_id=7");
  expect_refused(path + " is an SQLite file of another program (application id 7)");
  Database(path).execute("PRAGMA journal_mode=WAL");
  expect_refused(path + " is an SQLite file of another program (application id 7)");
}

TEST_F(LeaseFileTest, AnEmptyDatabaseOfAnotherProgramIsRefused) {
  write_file(path, "");
  Database(path).execute("PRAGMA application_id=7");
  expect_refused(path + " is an SQLite file of another program (application id 7)");
}

TEST_F(LeaseFileTest, AFileOfANewerVersionIsRefused) {
  open();
  Database(path).execute("PRAGMA user_version=2");
  expect_refused(path + " has version 2, and this flanneld knows 1");
}

TEST_F(LeaseFileTest, ADirectoryIsRefused) {
  std::filesystem::create_directory(path);
  EXPECT_EQ(refusal(), path + ": Is a directory");
}

TEST_F(LeaseFileTest, ADamagedFileIsNamed) {
  std::vector<Lease> leases;
  for (int i = 0; i < 200; ++i) {
    leases.push_back(lease(fmt::format("10.5.{}.0-24", i), fmt::format("198.18.0.{}", i)));
  }
  open().put(leases);
  const std::string good = bytes_of(path);
  write_file(path, good.substr(0, 4096) + std::string(good.size() - 4096, '\xab'));
  const std::string damaged = bytes_of(path);
  EXPECT_EQ(list_local_leases(path).error().text, path + ": database disk image is malformed");
  EXPECT_EQ(bytes_of(path), damaged);
  write_file(path, good.substr(0, 100) + std::string(good.size() - 100, '\xab'));
  expect_refused(path + ": database disk image is malformed");
}

TEST_F(LeaseFileTest, OursWithoutItsTablesIsAnErrorNotACrash) {
  open();
  Database(path).execute("DROP TABLE leases; DROP TABLE counter");
  EXPECT_EQ(list_local_leases(path).error().text, path + ": no such table: main.leases");
}

// Runs `work` in `count` new processes at once; true where all of them returned true.
template <class Work>
bool in_processes(int count, Work work) {
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool good = false;
      try {
        good = work(i);
      } catch (const std::exception& error) {
        fmt::print(stderr, "process {}: {}\n", i, error.what());
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  bool all = true;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    all = all && status == 0;
  }
  return all;
}

TEST_F(LeaseFileTest, ProcessesThatMakeItAtOnceAllFindOneFile) {
  for (int round = 0; round < 10; ++round) {
    std::filesystem::remove(path);
    EXPECT_TRUE(in_processes(8, [&](int i) {
      return open().acquire(request_of(fmt::format("198.18.0.{}", i))).has_value();
    }));
    const std::vector<Lease> leases = open().leases();
    EXPECT_EQ(leases.size(), 8U);
    EXPECT_EQ(key_texts(leases).size(), 8U);
  }
}

// The old file's process is another one: within one, SQLite's locks would not be in the way.
TEST_F(LeaseFileTest, WhatIsLeftOfARemovedFileIsNotTakenForTheNewOnes) {
  OtherProcess other([&](const OtherProcess& us) {
    LeaseFile old = open();
    for (int i = 0; i < 100; ++i) {
      old.put(std::vector{lease(fmt::format("10.5.{}.0-24", i), "198.18.0.1")});
    }
    return us.tell() && us.wait() && !old.is_still_there() && old.leases().size() == 100;
  });
  ASSERT_TRUE(other.wait());
  std::filesystem::remove(path);
  const Lease fresh = lease("10.5.200.0-24", "198.18.0.2");
  open().put(std::vector{fresh});
  EXPECT_EQ(key_texts(open().leases()), std::set{to_text(fresh.key)});
  EXPECT_TRUE(other.tell());
  EXPECT_TRUE(other.finish());
  EXPECT_EQ(key_texts(open().leases()), std::set{to_text(fresh.key)});
}

TEST_F(LeaseFileTest, ExpiredLeasesAreNotThereEvenBeforeTheyAreRemoved) {
  LeaseFile file = open();
  Lease short_one = lease("10.5.77.0-24", "198.18.0.1");
  short_one.expiry = BootClock::now() + 1h;
  Lease reserved = lease("10.5.2.0-24", "198.18.0.2");
  reserved.expiry.reset();
  file.put(std::vector{short_one, lease("10.5.3.0-24", "198.18.0.3"), reserved});
  EXPECT_GT(next_expiry(file), now + 59min);
  now += 1h;
  EXPECT_EQ(key_texts(file.leases()), (std::set<std::string>{"10.5.2.0-24", "10.5.3.0-24"}));
  AcquireRequest request = request_of("198.18.0.9");
  request.previous = key_of("10.5.77.0-24");
  EXPECT_EQ(file.acquire(request)->key, request.previous);
  now += 23h;
  file.expire();
  EXPECT_EQ(next_expiry(file), now + 1h);
  now += 100h;
  file.expire();
  EXPECT_EQ(next_expiry(file), std::nullopt);
  EXPECT_EQ(file.leases(), std::vector{reserved});
  EXPECT_EQ(file.changes_since(LeaseFile::Position{.revision = 1}).update.removed,
            (std::vector{key_of("10.5.3.0-24"), key_of("10.5.77.0-24")}));
}

TEST_F(LeaseFileTest, RemovingNothingIsNoChange) {
  LeaseFile file = open();
  file.put(std::vector{lease("10.5.1.0-24", "198.18.0.1")});
  const LeaseFile::Position before = file.position();
  file.expire();
  EXPECT_EQ(file.position(), before);
  now += 25h;
  file.expire();
  const LeaseFile::Position after = file.position();
  EXPECT_EQ(after, (LeaseFile::Position{before.revision + 1, before.removals + 1}));
  file.expire();
  EXPECT_EQ(file.position(), after);
}

TEST_F(LeaseFileTest, TimesNobodyWouldWriteAreBorne) {
  LeaseFile file = open();
  Database(path).execute(
      "INSERT INTO leases VALUES('10.5.1.0-24', '{}', 9223372036854775807, 1);"
      "INSERT INTO leases VALUES('10.5.2.0-24', '{}', -9223372036854775807, 1);"
      "INSERT INTO leases VALUES('10.5.3.0-24', '{}', 'tomorrow', 1);"
      "INSERT INTO leases VALUES('10.5.4.0-24', x'00ff', x'00ff', 1)");
  file.expire();
  EXPECT_GT(next_expiry(file), now);
  EXPECT_EQ(key_texts(file.leases()), (std::set<std::string>{"10.5.1.0-24", "10.5.3.0-24"}));
  EXPECT_EQ(file.changes_since(std::nullopt).update.bad.size(), 1U);
}

TEST_F(LeaseFileTest, ASubnetWithinAnothersIsHeld) {
  LeaseFile file = open();
  file.put(std::vector{lease("10.5.0.0-20", "198.18.0.9")});
  EXPECT_EQ(file.renew(lease("10.5.1.0-24", "198.18.0.2")).error().text,
            "10.5.0.0/20 is held by 198.18.0.9");
}

}  // namespace
}  // namespace flannel
