// What a watch says of the node's own key, over every store.

#include "test/store/store_subjects.h"

namespace flannel {
namespace {

// What the watch says of the own key after a change of `lease` by somebody else.
class OwnKeyTest : public StoreContractTest {
 protected:
  void SetUp() override {
    StoreContractTest::SetUp();
    watch = store->watch();
    EXPECT_EQ(run(watch->next()).own, std::nullopt) << "nothing is ours yet";
    lease = acquire(request_of("198.18.0.2"));
    key = to_text(lease.key);
    EXPECT_EQ(next_state(), State::as_written);
  }

  using State = OwnEntry::State;
  State next_state() {
    own = run(watch->next()).own;
    return own ? own->state : throw std::runtime_error("nothing of the own key");
  }
  State state_in_list() {
    own = run(store->watch()->next()).own;
    return own ? own->state : throw std::runtime_error("nothing of the own key");
  }

  std::unique_ptr<LeaseWatch> watch;
  Lease lease;
  std::string key;
  std::optional<OwnEntry> own;
};

INSTANTIATE_TEST_SUITE_P(Stores, OwnKeyTest, every_store_that_chooses(), name_of_store);

TEST_P(OwnKeyTest, WhatWeWriteIsAsWritten) {
  EXPECT_EQ(state_in_list(), State::as_written);
  lease.attrs.backend_data = R"({"VNI":2})";
  ASSERT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(next_state(), State::as_written);
  EXPECT_EQ(own->lease.attrs, lease.attrs);
  EXPECT_EQ(state_in_list(), State::as_written);
}

TEST_P(OwnKeyTest, TellsThatItIsGone) {
  subject->remove(key);
  EXPECT_EQ(next_state(), State::gone);
  EXPECT_EQ(state_in_list(), State::gone);
  ASSERT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(next_state(), State::as_written);
  subject->expire_all();
  EXPECT_EQ(next_state(), State::gone);
}

TEST_P(OwnKeyTest, TellsThatItIsJunk) {
  subject->put(key, "junk");
  EXPECT_EQ(next_state(), State::unreadable);
  EXPECT_NE(own->reason, "");
  EXPECT_EQ(state_in_list(), State::unreadable);
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_TRUE(renewed->expiry) << "junk is no reservation";
  EXPECT_EQ(next_state(), State::as_written);
}

TEST_P(OwnKeyTest, TellsWhoElseWroteIt) {
  for (const char* address : {"198.18.0.9", "198.18.0.8"}) {
    subject->put(key, fmt::format(R"({{"PublicIP":"{}"}})", address));
    EXPECT_EQ(next_state(), State::other);
    EXPECT_EQ(own->lease.attrs.public_ip, *IpAddr::parse(address));
    EXPECT_EQ(state_in_list(), State::other);
  }
}

// The same value, but without our etcd lease or expiry.
TEST_P(OwnKeyTest, TellsThatItsTimeIsAnother) {
  subject->put(key, to_json(lease.attrs));
  EXPECT_EQ(next_state(), State::may_expire);
  EXPECT_EQ(state_in_list(), State::may_expire);
  const Result<Lease> renewed = run(store->renew(lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->expiry, std::nullopt) << "it is a reservation now";
  EXPECT_EQ(state_in_list(), State::as_written);
}

TEST_P(OwnKeyTest, OfOthersKeysItSaysNothing) {
  subject->put("10.6.1.0-24", R"({"PublicIP":"198.18.0.9"})");
  EXPECT_EQ(run(watch->next()).own, std::nullopt);
  subject->put("10.6.1.0-24", "junk");
  EXPECT_EQ(run(watch->next()).own, std::nullopt);
  subject->remove("10.6.1.0-24");
  EXPECT_EQ(run(watch->next()).own, std::nullopt);
}

// A watch that is behind tells of what we wrote before; that is nobody's doing but ours.
TEST_P(OwnKeyTest, WhatIsOlderThanOurOwnWritingIsNotTakenForAnothers) {
  for (int i = 0; i < 5; ++i) {
    lease.attrs.backend_data = fmt::format(R"({{"VNI":{}}})", i);
    ASSERT_TRUE(run(store->renew(lease)));
  }
  subject->put("10.6.1.0-24", R"({"PublicIP":"198.18.0.9"})");
  for (bool all = false; !all;) {
    const LeaseUpdate update = run(watch->next());
    EXPECT_EQ(update.own.value_or(OwnEntry{}).state, State::as_written);
    all = key_texts(update.leases).contains("10.6.1.0-24");
  }
}

}  // namespace
}  // namespace flannel
