// What a watch of the local store tells, change by change, against the list of everything.
#include <map>
#include <random>

#include "store/lease_file.h"
#include "store/local_store.h"
#include "store/store_file_fixture.h"
#include "store/store_fixture.h"

namespace flannel {
namespace {

// A value, or why there is none, by key.
using Known = std::map<std::string, std::string>;

void take(const LeaseUpdate& update, Known& known) {
  if (update.snapshot) {
    known.clear();
  }
  for (const LeaseKey& key : update.removed) {
    known.erase(to_text(key));
  }
  for (const std::string& key : update.bad_removed) {
    known.erase(key);
  }
  for (const Lease& lease : update.leases) {
    known[to_text(lease.key)] = to_json(lease.attrs);
  }
  for (const BadEntry& bad : update.bad) {
    known[bad.key] = bad.reason;
  }
}

// Changes of a file as daemons, and people with editors, make them.
class Changer {
 public:
  Changer(const std::string& path, unsigned seed) : database_(path), random_(seed) {}

  void change() {
    Transaction transaction(database_);
    const unsigned kind = below(40);
    if (kind > 4) {
      database_.execute("UPDATE counter SET revision = revision + 1");
    }
    if (kind == 0) {
      put_many();
      database_.execute("UPDATE counter SET revision = revision + 1; DELETE FROM leases");
    } else if (kind < 12) {  // some of them without a word to `counter`
      database_.execute(fmt::format("DELETE FROM leases WHERE key = '{}'", key()));
    } else if (kind == 12) {
      database_.execute(fmt::format(
          "UPDATE OR IGNORE leases SET key = '{}', revision = (SELECT revision FROM counter)"
          " WHERE key = '{}'",
          key(), key()));
    } else {
      for (unsigned i = 0; i <= below(3); ++i) {
        put(key(), kind == 13 ? "no lease" : to_json(node(fmt::format("198.18.0.{}", below(9)))));
      }
    }
    transaction.commit();
  }

 private:
  unsigned below(unsigned limit) { return random_() % limit; }
  std::string key() {
    const unsigned number = below(40);
    return number == 0 ? "no key" : fmt::format("10.5.{}.0-24", number);
  }
  // More than the file remembers to have been removed.
  void put_many() {
    for (unsigned i = 0; i < 1100; ++i) {
      put(fmt::format("10.{}.{}.0-24", 64 + i / 256, i % 256), to_json(node("198.18.0.1")));
    }
  }
  void put(const std::string& key, const std::string& value) {
    Statement(database_,
              "INSERT OR REPLACE INTO leases VALUES(?, ?, NULL, (SELECT revision FROM counter))")
        .bind(0, key)
        .bind(1, value)
        .run();
  }

  Database database_;
  std::mt19937 random_;
};

class LocalWatchTest : public StoreFixture {
 protected:
  // All that the watch has to tell by now.
  void follow(LeaseWatch& watch, Known& known) {
    while (const std::optional<LeaseUpdate> update =
               run(watch.next(std::chrono::steady_clock::now()))) {
      take(*update, known);
    }
  }
  Known listed() const {
    Known known;
    take(LeaseFile(path, LeaseFile::IfMissing::refuse, std::chrono::system_clock::now)
             .changes_since(std::nullopt)
             .update,
         known);
    return known;
  }
  std::unique_ptr<LeaseStore> open() { return make_local_store(loop.get_executor(), path).value(); }

  TestDirectory directory;
  std::string path = directory.file("leases.db");
};

TEST_F(LocalWatchTest, TellsWhatTheListHasAfterAnyChanges) {
  const std::unique_ptr<LeaseStore> store = open();
  for (unsigned seed = 0; seed < 8; ++seed) {
    Changer changer(path, seed);
    const std::unique_ptr<LeaseWatch> watch = store->watch();
    Known known;
    for (int step = 0; step < 60; ++step) {
      changer.change();
      if (step % 3 != 0) {  // otherwise it sleeps
        follow(*watch, known);
        ASSERT_EQ(known, listed()) << "seed " << seed << ", step " << step;
      }
    }
  }
}

TEST_F(LocalWatchTest, TellsWhatSeveralProcessesWriteAtOnce) {
  constexpr unsigned kProcesses = 4;
  std::vector<std::unique_ptr<OtherProcess>> others;
  for (unsigned seed = 0; seed < kProcesses; ++seed) {
    others.push_back(std::make_unique<OtherProcess>([&, seed](const OtherProcess& us) {
      if (!us.wait()) {
        return false;
      }
      Changer changer(path, seed);
      for (int step = 0; step < 200;) {
        try {
          changer.change();
          ++step;
        } catch (const SqliteError&) {  // the others were faster, for two seconds
        }
      }
      return us.tell();
    }));
  }
  const std::unique_ptr<LeaseStore> store = open();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  Known known;
  for (const std::unique_ptr<OtherProcess>& other : others) {
    ASSERT_TRUE(other->tell());
  }
  for (const std::unique_ptr<OtherProcess>& other : others) {
    follow(*watch, known);
    ASSERT_TRUE(other->wait());
  }
  follow(*watch, known);
  EXPECT_EQ(known, listed());
  for (const std::unique_ptr<OtherProcess>& other : others) {
    EXPECT_TRUE(other->finish());
  }
}

// It made the file, or has it open: it deletes as ever, and our triggers note it.
TEST_F(LocalWatchTest, FollowsADaemonOfAnEarlierVersion) {
  open();
  const Database earlier(path);
  earlier.execute(
      "DROP TRIGGER removal; DROP TRIGGER renaming; DROP TABLE removed;"
      "INSERT INTO leases VALUES('10.5.1.0-24', '{}', NULL, 0), ('10.5.2.0-24', '{}', NULL, 0)");
  const std::unique_ptr<LeaseStore> store = open();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 2U);
  earlier.execute(
      "BEGIN; DELETE FROM leases WHERE key = '10.5.1.0-24';"
      "UPDATE counter SET revision = revision + 1; COMMIT");
  EXPECT_EQ(run(watch->next()), LeaseUpdate{.removed = {key_of("10.5.1.0-24")}});
}

}  // namespace
}  // namespace flannel
