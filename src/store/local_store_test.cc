// Following the local store's file from several processes, and what befalls the file meanwhile.
#include "store/local_store.h"

#include <filesystem>

#include "store/store_file_fixture.h"
#include "store/store_fixture.h"

namespace flannel {
namespace {

Lease lease_number(int i) {
  return {.key = {.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a400000U + (i << 8)), 24}},
          .attrs = {.public_ip = IpAddr::from_number(Family::v4, 0xc6130000U + i),
                    .backend_type = "vxlan",
                    .backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})"},
          .expiry = BootClock::now() + kLeaseTime};
}

class LocalStoreTest : public StoreFixture {
 protected:
  std::unique_ptr<LeaseStore> open() {
    return make_local_store(loop.get_executor(), path,
                            [this] { return std::chrono::system_clock::now() + passed; })
        .value();
  }
  void put(const std::string& key, const std::string& ip) {
    const std::vector<Lease> leases{{.key = key_of(key), .attrs = node(ip), .expiry = {}}};
    ASSERT_TRUE(put_local_leases(path, leases));
  }
  // What was under way is over, and nothing wakes the loop any more.
  bool becomes_quiet() {
    for (int left = 5; left > 0; --left) {
      loop.restart();
      if (loop.run_for(200ms) == 0) {
        return true;
      }
    }
    return false;
  }

  TestDirectory directory;
  std::string path = directory.file("leases.db");
  std::chrono::system_clock::duration passed{};
};

TEST_F(LocalStoreTest, IsCalledByItsPath) {
  EXPECT_EQ(open()->name(), "local " + path);
}

TEST_F(LocalStoreTest, ChangesOfSeveralTransactionsMayComeTogether) {
  const std::unique_ptr<LeaseStore> store = open();
  put("10.5.1.0-24", "198.18.0.1");
  put("10.5.2.0-24", "198.18.0.2");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  put("10.5.1.0-24", "198.18.0.7");
  put("10.5.3.0-24", "198.18.0.3");
  put("10.5.4.0-24", "198.18.0.4");
  ASSERT_TRUE(remove_local_lease(path, key_of("10.5.4.0-24")));
  ASSERT_TRUE(remove_local_lease(path, key_of("10.5.2.0-24")));
  const LeaseUpdate update = run(watch->next());
  EXPECT_FALSE(update.snapshot);
  EXPECT_EQ(key_texts(update.leases), (std::set<std::string>{"10.5.1.0-24", "10.5.3.0-24"}));
  EXPECT_EQ(update.removed, (std::vector{key_of("10.5.2.0-24"), key_of("10.5.4.0-24")}));
}

TEST_F(LocalStoreTest, AnOlderCopyThatWasRestoredIsASnapshot) {
  const std::unique_ptr<LeaseStore> store = open();
  put("10.5.1.0-24", "198.18.0.1");
  put("10.5.2.0-24", "198.18.0.2");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  Database(path).execute(
      "BEGIN; DELETE FROM leases WHERE revision > 1;"
      "UPDATE counter SET revision = 1; COMMIT");
  const LeaseUpdate update = run(watch->next());
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(key_texts(update.leases), std::set<std::string>{"10.5.1.0-24"});
}

TEST_F(LocalStoreTest, FindsItsFileThroughASymbolicLink) {
  open();
  std::filesystem::create_directory(directory.file("links"));
  const std::string link = directory.file("links/leases.db");
  std::filesystem::create_symlink(path, link);
  const std::unique_ptr<LeaseStore> store = make_local_store(loop.get_executor(), link).value();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  std::optional<LeaseUpdate> update;
  asio::co_spawn(loop, watch->next(),
                 [&](const std::exception_ptr&, LeaseUpdate got) { update = std::move(got); });
  loop.poll();
  put("10.5.1.0-24", "198.18.0.1");
  run_until([&] { return update.has_value(); });
  EXPECT_EQ(update->leases.size(), 1U);
}

TEST_F(LocalStoreTest, WakesWhenALeaseExpires) {
  const std::unique_ptr<LeaseStore> store = open();
  Lease lease = lease_number(1);
  lease.expiry = BootClock::now() + 50ms;
  ASSERT_TRUE(put_local_leases(path, std::vector{lease}));
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  EXPECT_EQ(run(watch->next()), LeaseUpdate{.removed = {lease.key}});
}

TEST_F(LocalStoreTest, AWatchWithNothingToTellSleeps) {
  const std::unique_ptr<LeaseStore> store = open();
  put("10.5.1.0-24", "198.18.0.1");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  asio::co_spawn(loop, watch->next(), asio::detached);
  EXPECT_TRUE(becomes_quiet());
}

// inotify tells of a writer's bytes before its transaction can be seen, and of nothing after that.
TEST_F(LocalStoreTest, AWatchLooksAgainByItselfAsLongAsSomebodyIsWriting) {
  const std::unique_ptr<LeaseStore> store = open();
  put("10.5.1.0-24", "198.18.0.1");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  const Database other(path);
  auto writing = std::make_optional<Transaction>(other);
  asio::co_spawn(loop, watch->next(), asio::detached);
  EXPECT_FALSE(becomes_quiet());
  writing.reset();
  EXPECT_TRUE(becomes_quiet());
}

TEST_F(LocalStoreTest, ARemovedFileIsAnErrorUntilItReturns) {
  const std::unique_ptr<LeaseStore> store = open();
  put("10.5.1.0-24", "198.18.0.1");
  const Lease lease = run(store->acquire(request_of("198.18.0.2"))).value();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 2U);
  std::string failure;
  asio::co_spawn(loop, watch->next(), [&](const std::exception_ptr& error, const LeaseUpdate&) {
    failure = failure_text(error);
  });
  loop.poll();
  const std::string elsewhere = directory.file("elsewhere");
  std::filesystem::rename(path, elsewhere);
  run_until([&] { return !failure.empty(); });
  EXPECT_EQ(failure, path + " was removed or replaced");
  EXPECT_EQ(error_of(store->config()), path + ": No such file or directory");
  EXPECT_EQ(error_of(store->renew(lease)), path + ": No such file or directory");
  EXPECT_THROW(store->watch(), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(path));

  std::filesystem::rename(elsewhere, path);
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(run(store->watch()->next()).leases.size(), 2U);
}

TEST_F(LocalStoreTest, ANewFileIsTakenUpWhileAWatchStillHasTheOldOne) {
  const std::unique_ptr<LeaseStore> store = open();
  const Lease lease = run(store->acquire(request_of("198.18.0.2"))).value();
  const std::unique_ptr<LeaseWatch> old_watch = store->watch();
  run(old_watch->next());
  std::filesystem::remove(path);
  put("10.5.1.0-24", "198.18.0.1");
  EXPECT_EQ(run(store->renew(lease))->key, lease.key);
  EXPECT_EQ(error_of(old_watch->next()), path + " was removed or replaced");
  EXPECT_EQ(key_texts(run(store->watch()->next()).leases),
            (std::set<std::string>{"10.5.1.0-24", to_text(lease.key)}));
}

TEST_F(LocalStoreTest, ARemovedDirectoryIsAnErrorToo) {
  path = directory.file("deep/leases.db");
  const std::unique_ptr<LeaseStore> store = open();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  std::filesystem::remove_all(directory.file("deep"));
  EXPECT_EQ(error_of(watch->next()), path + " was removed or replaced");
  EXPECT_EQ(error_of(store->config()),
            directory.file("deep/leases.db") + ": No such file or directory");
}

TEST_F(LocalStoreTest, AFileLockedForLongIsSaidToBe) {
  const std::unique_ptr<LeaseStore> store = open();
  const Database other(path);
  const Transaction writing(other);
  EXPECT_EQ(error_of(store->acquire(request_of("198.18.0.2"))),
            path + " is locked by another process");
  EXPECT_EQ(run(store->config()), std::nullopt) << "reading goes on";
}

TEST_F(LocalStoreTest, ANodeMayMoveAndRenewButNotIntoAnothersPlace) {
  const std::unique_ptr<LeaseStore> store = open();
  Lease lease = run(store->acquire(request_of("198.18.0.2"))).value();
  lease.attrs = node("198.18.0.3");
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(run(open()->renew({.key = lease.key, .attrs = node("198.18.0.4")})).error().text,
            lease.key.v4->to_text() + " is held by 198.18.0.3");
}

TEST_F(LocalStoreTest, ListsAndFollowsFiveThousandLeases) {
  const std::unique_ptr<LeaseStore> store = open();
  const std::unique_ptr<LeaseWatch> early = store->watch();
  EXPECT_TRUE(run(early->next()).leases.empty());
  std::vector<Lease> leases;
  for (int i = 0; i < 5000; ++i) {
    leases.push_back(lease_number(i));
  }
  ASSERT_TRUE(put_local_leases(path, leases));
  EXPECT_EQ(run(early->next()).leases.size(), 5000U);
  const std::unique_ptr<LeaseWatch> late = store->watch();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run(late->next()).leases.size(), 5000U);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  RecordProperty("snapshot_ms", std::to_string(took.count()));
  fmt::print("snapshot of 5000 leases: {:.1f} ms\n", took.count());
  ASSERT_TRUE(remove_local_lease(path, leases[77].key));
  EXPECT_EQ(run(late->next()), LeaseUpdate{.removed = {leases[77].key}});
}

TEST_F(LocalStoreTest, CanBeDroppedAtAnyMoment) {
  for (int handlers = 0; handlers < 6; ++handlers) {
    asio::io_context own_loop;
    const std::unique_ptr<LeaseStore> store =
        make_local_store(own_loop.get_executor(), path).value();
    const std::unique_ptr<LeaseWatch> watch = store->watch();
    asio::co_spawn(own_loop, watch->next(), asio::detached);
    asio::co_spawn(own_loop, store->acquire(request_of("198.18.0.2")), asio::detached);
    for (int i = 0; i < handlers && own_loop.run_one_for(20ms) > 0; ++i) {
    }
  }
}

// Nothing comes after a change until it was seen, so one that is missed is missed for good.
TEST_F(LocalStoreTest, NoChangeOfAnotherProcessIsMissed) {
  constexpr int kRounds = 1000;
  OtherProcess other([&](const OtherProcess& us) {
    for (int i = 0; i < kRounds; ++i) {
      // Many pages, so that there is time between their first and their last.
      std::vector<Lease> leases(i % 2 == 0 ? 1 : 60, lease_number(i));
      for (Lease& lease : leases) {
        lease.attrs.backend_data = "\"" + std::string(static_cast<std::size_t>(i), 'x') + "\"";
      }
      if (!us.wait() || !put_local_leases(path, leases)) {
        return false;
      }
    }
    return true;
  });
  const std::unique_ptr<LeaseStore> store = open();
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(other.tell());
    const LeaseUpdate update = run(watch->next());
    ASSERT_EQ(update.leases.size(), 1U) << i;
    EXPECT_EQ(update.leases[0].key, lease_number(i).key);
  }
  EXPECT_TRUE(other.finish());
}

}  // namespace
}  // namespace flannel
