// What every lease store must do: the same cases on the fake, the local file and a real etcd, and
// those of watches on Nodes of Kubernetes.

#include "test/store/store_subjects.h"

namespace flannel {
namespace {

// Waits for whatever the watch tells, for the test's life.
Task<void> drain(LeaseWatch* watch) {
  for (;;) {
    co_await watch->next();
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContractTest, every_store_that_chooses(), name_of_store);
INSTANTIATE_TEST_SUITE_P(Stores, StoreWatchContractTest, every_store(), name_of_store);

TEST_P(StoreContractTest, HasNoConfigurationUntilSomebodyWritesOne) {
  EXPECT_EQ(run(store->config()), std::nullopt);
  subject->write_config("{ \"Network\": \"10.5.0.0/16\" }\n");
  EXPECT_EQ(run(store->config()), "{ \"Network\": \"10.5.0.0/16\" }\n");
}

// What is written between two looks is told as well, also where it is put back later.
TEST_P(StoreContractTest, TellsOfAnotherConfiguration) {
  subject->write_config("first");
  const std::optional<std::string> first = run(store->config());
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  subject->write_config("second");
  asio::co_spawn(loop, drain(watch.get()), asio::detached);
  EXPECT_EQ(run(store->next_config(first)), "second");
  const std::vector<std::optional<std::string>> texts{std::nullopt, "first", "",
                                                      std::string(100'000, 'x')};
  for (const std::optional<std::string>& text : texts) {
    const std::optional<std::string> last = run(store->config());
    subject->write_config(text);
    const Result<std::string> next = run(store->next_config(last));
    EXPECT_EQ(next ? std::optional(*next) : std::nullopt, text);
  }
}

TEST_P(StoreContractTest, GivesANodeASubnetForADayAndTheSameOneAgain) {
  const auto before = BootClock::now();
  const Lease lease = acquire(request_of("198.18.0.2"));
  EXPECT_TRUE(network().v4->network.contains(*lease.key.v4));
  EXPECT_EQ(lease.key.v4->length, 24);
  EXPECT_FALSE(lease.key.v6);
  EXPECT_EQ(lease.attrs, node("198.18.0.2"));
  ASSERT_TRUE(lease.expiry);
  EXPECT_GE(*lease.expiry, before + kLeaseTime - 1s);
  EXPECT_LE(*lease.expiry, BootClock::now() + kLeaseTime + 1s);
  EXPECT_EQ(acquire(request_of("198.18.0.2")).key, lease.key);
}

TEST_P(StoreContractTest, KeepsThePreviousSubnetWhereNobodyElseHasIt) {
  AcquireRequest request = request_of("198.18.0.2");
  request.previous = key_of("10.5.77.0-24");
  EXPECT_EQ(acquire(request).key, request.previous);
  request.attrs = node("198.18.0.3");
  EXPECT_NE(acquire(request).key, request.previous);
}

TEST_P(StoreContractTest, AReservationIsTakenByItsNodeAndStaysOne) {
  subject->put("10.5.77.0-24", R"({"PublicIP":"198.18.0.2"})");
  Lease lease = acquire(request_of("198.18.0.2"));
  EXPECT_EQ(lease.key, key_of("10.5.77.0-24"));
  EXPECT_EQ(lease.expiry, std::nullopt);
  lease.attrs.backend_data = R"({"VNI":1})";
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->expiry, std::nullopt);
  subject->expire_all();
  const LeaseUpdate all = run(store->watch()->next());
  EXPECT_EQ(all.leases, std::vector{*renewed});
}

TEST_P(StoreContractTest, AnotherConfigurationsOwnEntryMakesWay) {
  subject->put("10.9.1.0-24", R"({"PublicIP":"198.18.0.2"})");
  subject->put("10.9.2.0-24", R"({"PublicIP":"198.18.0.3"})");
  const Lease lease = acquire(request_of("198.18.0.2"));
  const LeaseUpdate all = run(store->watch()->next());
  EXPECT_EQ(key_texts(all.leases), (std::set<std::string>{"10.9.2.0-24", to_text(lease.key)}));
}

TEST_P(StoreContractTest, AFullNetworkHasNoSubnetLeft) {
  AcquireRequest request = request_of("198.18.0.2");
  request.network =
      network(R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.1.0"})");
  AcquireRequest other = request;
  other.attrs = node("198.18.0.3");
  std::vector<Task<Result<Lease>>> tasks;
  tasks.push_back(store->acquire(request));
  tasks.push_back(store->acquire(other));
  const std::vector<Result<Lease>> leases = run_all(std::move(tasks));
  ASSERT_NE(leases[0].has_value(), leases[1].has_value());
  EXPECT_EQ((leases[0] ? leases[1] : leases[0]).error().text, "out of subnets");
}

TEST_P(StoreContractTest, FiftyNodesJoiningAtOnceGetDifferentSubnets) {
  const std::unique_ptr<LeaseStore> second = open();
  std::vector<Task<Result<Lease>>> tasks;
  for (int i = 1; i <= 50; ++i) {
    LeaseStore& chosen = i % 2 == 0 ? *store : *second;
    tasks.push_back(chosen.acquire(request_of(fmt::format("198.18.0.{}", i))));
  }
  std::set<std::string> keys;
  for (const Result<Lease>& lease : run_all(std::move(tasks))) {
    ASSERT_TRUE(lease) << lease.error().text;
    keys.insert(to_text(lease->key));
  }
  EXPECT_EQ(keys.size(), 50U);
  EXPECT_EQ(key_texts(run(store->watch()->next()).leases), keys);
}

TEST_P(StoreContractTest, NodesWithoutIpv4AreToldApartByTheirIpv6Address) {
  AcquireRequest request;
  request.network =
      network(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
  std::set<std::string> keys;
  for (const char* address : {"2001:db8::1", "2001:db8::2", "2001:db8::1"}) {
    request.attrs = {.public_ip = std::nullopt, .public_ipv6 = *IpAddr::parse(address)};
    const Lease lease = acquire(request);
    EXPECT_FALSE(lease.key.v4);
    keys.insert(to_text(lease.key));
  }
  EXPECT_EQ(keys.size(), 2U);
}

TEST_P(StoreContractTest, ARenewedLeaseHasItsNewAttributesAndTime) {
  Lease lease = acquire(request_of("198.18.0.2"));
  lease.attrs.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})";
  lease.expiry.reset();
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_TRUE(renewed->expiry);
  const LeaseUpdate all = run(store->watch()->next());
  ASSERT_EQ(all.leases.size(), 1U);
  EXPECT_EQ(all.leases[0].key, lease.key);
  EXPECT_EQ(all.leases[0].attrs, lease.attrs);
}

TEST_P(StoreContractTest, ALostLeaseIsTakenAgainWithTheSameSubnet) {
  const Lease lease = acquire(request_of("198.18.0.2"));
  subject->remove(to_text(lease.key));
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->key, lease.key);
  EXPECT_TRUE(renewed->expiry);
  EXPECT_EQ(run(store->watch()->next()).leases.size(), 1U);
}

// Of either family, and in a key of another form.
TEST_P(StoreContractTest, ALostLeaseIsNotTakenAgainWhereAnotherHasOneOfItsSubnets) {
  AcquireRequest request = request_of("198.18.0.2");
  request.network =
      network(R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
  request.attrs.public_ipv6 = *IpAddr::parse("2001:db8::2");
  request.previous = key_of("10.5.1.0-24&fc00:5:0:1::-64");
  const Lease lease = acquire(request);
  ASSERT_EQ(lease.key, request.previous);
  for (const char* other : {"10.5.2.0-24&fc00:5:0:1::-64", "10.5.1.0-24"}) {
    subject->remove(to_text(lease.key));
    subject->put(other, R"({"PublicIP":"198.18.0.9","PublicIPv6":"2001:db8::9"})");
    const Result<Lease> renewed = run(store->renew(lease));
    ASSERT_FALSE(renewed) << other;
    EXPECT_TRUE(renewed.error().text.contains(" is held by 198.18.0.9")) << renewed.error().text;
    subject->remove(other);
    EXPECT_TRUE(run(store->renew(lease)));
  }
}

// Somebody's lease may stand there. An entry of ours that is still there is none's but ours.
TEST_P(StoreContractTest, ALostLeaseIsNotTakenAgainWhereAnEntryThatCannotBeReadHasItsSubnet) {
  const Lease lease = acquire(request_of("198.18.0.2"));
  subject->put("10.5.0.0-16", "junk");
  EXPECT_TRUE(run(store->renew(lease)));
  subject->remove(to_text(lease.key));
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().text, "10.5.0.0/16 is held by a node without an address");
  subject->remove("10.5.0.0-16");
  subject->put(to_text(lease.key), "junk");
  EXPECT_TRUE(run(store->renew(lease))) << "nobody else writes there";
}

// The entry behind ours is somebody else's.
TEST_P(StoreContractTest, ALeaseThatIsGoneIsTakenAgainAlsoWhereOthersAreLeft) {
  const Lease lease = acquire(request_of("198.18.0.2"));
  for (const char* other : {"10.4.0.0-24", "10.6.0.0-24"}) {
    subject->put(other, R"({"PublicIP":"198.18.0.9"})");
  }
  subject->remove(to_text(lease.key));
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->key, lease.key);
}

// Nor is one of the leases taken for it.
TEST_P(StoreContractTest, AConfigurationThatIsMissingIsMissing) {
  subject->put("10.5.1.0-24", R"({"PublicIP":"198.18.0.1"})");
  EXPECT_EQ(run(store->config()), std::nullopt);
}

TEST_P(StoreContractTest, ALeaseIsNotTakenFromTheNodeThatHoldsIt) {
  const Lease lease = acquire(request_of("198.18.0.2"));
  subject->put(to_text(lease.key), R"({"PublicIP":"198.18.0.9"})");
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().text, lease.key.v4->to_text() + " is held by 198.18.0.9");
  const LeaseUpdate all = run(store->watch()->next());
  ASSERT_EQ(all.leases.size(), 1U);
  EXPECT_EQ(all.leases[0].attrs.public_ip, *IpAddr::parse("198.18.0.9"));
}

TEST_P(StoreWatchContractTest, AnEmptyStoreIsAnEmptySnapshot) {
  EXPECT_EQ(run(store->watch()->next()), LeaseUpdate{.snapshot = true});
}

TEST_P(StoreWatchContractTest, AWatchTellsWhatThereIsThenWhatChangesInOrder) {
  subject->put("10.5.1.0-24", R"({"PublicIP":"198.18.0.1"})");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  const LeaseUpdate all = run(watch->next());
  EXPECT_TRUE(all.snapshot);
  EXPECT_EQ(key_texts(all.leases), std::set<std::string>{"10.5.1.0-24"});
  EXPECT_EQ(all.leases.at(0).expiry, std::nullopt);

  subject->put("10.5.2.0-24&fc00:5:0:2::-64",
               R"({"PublicIP":"198.18.0.2","PublicIPv6":"2001:db8::2","BackendType":"vxlan",)"
               R"("BackendData":{"VNI":1}})");
  const LeaseUpdate added = run(watch->next());
  EXPECT_FALSE(added.snapshot);
  ASSERT_EQ(added.leases.size(), 1U);
  EXPECT_EQ(added.leases[0].key, key_of("10.5.2.0-24&fc00:5:0:2::-64"));
  EXPECT_EQ(added.leases[0].attrs.public_ipv6, *IpAddr::parse("2001:db8::2"));
  EXPECT_EQ(added.leases[0].attrs.backend_data, R"({"VNI":1})");

  subject->put("10.5.1.0-24", R"({"PublicIP":"198.18.0.7"})");
  const LeaseUpdate changed = run(watch->next());
  EXPECT_EQ(key_texts(changed.leases), std::set<std::string>{"10.5.1.0-24"});
  EXPECT_EQ(changed.leases.at(0).attrs.public_ip, *IpAddr::parse("198.18.0.7"));

  subject->remove("10.5.1.0-24");
  EXPECT_EQ(run(watch->next()), LeaseUpdate{.removed = {key_of("10.5.1.0-24")}});
}

TEST_P(StoreContractTest, EveryWatchHearsOfEveryNodeItsOwnIncluded) {
  const std::unique_ptr<LeaseStore> second = open();
  const std::unique_ptr<LeaseWatch> watches[] = {store->watch(), second->watch()};
  for (const std::unique_ptr<LeaseWatch>& watch : watches) {
    run(watch->next());
  }
  const Lease lease = acquire(request_of("198.18.0.2"));
  for (const std::unique_ptr<LeaseWatch>& watch : watches) {
    const LeaseUpdate update = run(watch->next());
    ASSERT_EQ(update.leases.size(), 1U);
    EXPECT_EQ(update.leases[0].key, lease.key);
    EXPECT_TRUE(update.leases[0].expiry);
  }
}

TEST_P(StoreContractTest, AnExpiredLeaseIsRemovedAndItsSubnetIsFree) {
  AcquireRequest request = request_of("198.18.0.2");
  request.network =
      network(R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.1.0"})");
  const Lease lease = acquire(request);
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  subject->expire_all();
  EXPECT_EQ(run(watch->next()).removed, std::vector{lease.key});
  request.attrs = node("198.18.0.3");
  EXPECT_EQ(acquire(request).key, lease.key);
}

TEST_P(StoreContractTest, JunkIsReportedAndTheRestIsNotAffected) {
  subject->put("readme", "hello");
  subject->put("10.5.1.0-24", "not json");
  subject->put("10.5.77.0-24", R"({"PublicIP":"198.18.0.2"})");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  const LeaseUpdate all = run(watch->next());
  EXPECT_EQ(key_texts(all.leases), std::set<std::string>{"10.5.77.0-24"});
  std::set<std::string> bad;
  for (const BadEntry& entry : all.bad) {
    bad.insert(entry.key.substr(entry.key.rfind('/') + 1));  // etcd's keys have the prefix
    EXPECT_NE(entry.reason, "");
  }
  EXPECT_EQ(bad, (std::set<std::string>{"10.5.1.0-24", "readme"}));
  subject->put("10.5.3.0-24", R"({"PublicIP":"nowhere"})");
  const LeaseUpdate update = run(watch->next());
  EXPECT_FALSE(update.snapshot);
  EXPECT_TRUE(update.leases.empty());
  EXPECT_TRUE(update.removed.empty());
  EXPECT_EQ(update.bad.size(), 1U);
  EXPECT_EQ(acquire(request_of("198.18.0.2")).key, key_of("10.5.77.0-24"));
  const LeaseUpdate later = run(watch->next());
  EXPECT_EQ(key_texts(later.leases), std::set<std::string>{"10.5.77.0-24"});
}

TEST_P(StoreContractTest, ANodeThatMovedKeepsItsLease) {
  Lease lease = acquire(request_of("198.18.0.2"));
  lease.attrs = node("198.18.0.7");
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  const LeaseUpdate all = run(store->watch()->next());
  ASSERT_EQ(all.leases.size(), 1U);
  EXPECT_EQ(all.leases[0].attrs, lease.attrs);
}

TEST_P(StoreContractTest, ASubnetWhoseEntryCannotBeReadIsNotGivenAway) {
  subject->put("10.5.1.0-24", "written by a version to come");
  AcquireRequest request = request_of("198.18.0.2");
  request.network =
      network(R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.1.0"})");
  const Result<Lease> lease = run(store->acquire(request));
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().text, "out of subnets");
}

TEST_P(StoreContractTest, EntriesThatCannotBeReadAreNamedAndForgottenWithTheirKeys) {
  subject->put("10.5.1.0-24", "written by a version to come");
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  const LeaseUpdate all = run(watch->next());
  ASSERT_EQ(all.bad.size(), 1U);
  EXPECT_EQ(all.unreadable, std::vector{key_of("10.5.1.0-24")});
  subject->put("read\x1bme", "hello");
  const LeaseUpdate junk = run(watch->next());
  ASSERT_EQ(junk.bad.size(), 1U);
  EXPECT_TRUE(junk.unreadable.empty());
  EXPECT_EQ(junk.own, std::nullopt);
  subject->remove("read\x1bme");
  const LeaseUpdate forgotten = run(watch->next());
  EXPECT_EQ(forgotten.bad_removed, std::vector{junk.bad[0].key});
  EXPECT_TRUE(forgotten.removed.empty());
  subject->remove("10.5.1.0-24");
  EXPECT_EQ(run(watch->next()).removed, std::vector{key_of("10.5.1.0-24")});
}

// Also while changes come: it goes on behind the deadline where it was.
TEST_P(StoreWatchContractTest, AWatchWaitsNoLongerThanItIsTold) {
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  EXPECT_TRUE(run(watch->next(Deadline())).value().snapshot) << "a list is never refused";
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(run(watch->next(std::chrono::steady_clock::now() + 5ms)), std::nullopt);
    const std::string key = fmt::format("10.5.{}.0-24", i);
    subject->put(key, R"({"PublicIP":"198.18.0.1"})");
    EXPECT_EQ(key_texts(run(watch->next()).leases), std::set<std::string>{key});
  }
}

TEST_P(StoreWatchContractTest, AWaitingWatchCanBeCancelled) {
  const std::unique_ptr<LeaseWatch> watch = store->watch();
  run(watch->next());
  asio::cancellation_signal cancel;
  std::exception_ptr ended;
  asio::co_spawn(loop, watch->next(),
                 asio::bind_cancellation_slot(
                     cancel.slot(), [&](std::exception_ptr error, LeaseUpdate) { ended = error; }));
  loop.run_for(50ms);
  loop.restart();
  cancel.emit(asio::cancellation_type::all);
  run_until([&] { return ended != nullptr; });
}

}  // namespace
}  // namespace flannel
