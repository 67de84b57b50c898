#include "test/support/fake_store.h"
#include "test/world/world_store.h"

namespace flannel {
namespace {

class MemoryStore : public WorldStore {
 public:
  explicit MemoryStore(const std::string& config) { store_.config = config; }

  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return store_.open(std::move(executor));
  }
  std::vector<Lease> leases() const override {
    std::vector<Lease> out;
    for (const auto& [key, lease] : store_.leases()) {
      out.push_back(lease);
    }
    return out;
  }
  void put(const std::string&, const Lease& lease) override { store_.put(lease); }
  void remove(const std::string&, const LeaseKey& key) override { store_.remove(key); }
  void recover() override { store_.fail_with(""); }

  void change(Story& story, const Lease* own) override {
    switch (story.below(8)) {
      case 0:
        story.tell("the store is away");
        return store_.fail_with("the store is away");
      case 1:
        story.tell("the store is back");
        return store_.fail_with("");
      case 2:
        story.tell("events are lost");
        return store_.lose_events();
      case 3:
        story.tell("a junk entry");
        return store_.put_bad({fmt::format("10.5.{}.0-99", story.below(200)), "not a subnet"});
      case 4:
      case 5:
      case 6:
        return own != nullptr ? change_own(story, *own) : void();
      default:
        story.tell("a peer outside the network");
        return store_.put(
            {*parse_lease_key("10.77.1.0-24"),
             *parse_lease_attrs(R"({"PublicIP":"198.18.0.99","BackendType":"vxlan"})"),
             {}});
    }
  }

 private:
  void change_own(Story& story, Lease own) {
    switch (story.below(3)) {
      case 0:
        story.tell("our own lease is removed");
        return store_.remove(own.key);
      case 1:
        story.tell("junk under our own key");
        return store_.put_bad({to_text(own.key), "junk"});
      default:
        // A third time within a minute would be another node with our address.
        if (usurped_++ < 2) {
          story.tell("our own lease is written by somebody else");
          own.attrs.backend_data = R"({"VNI":1,"VtepMAC":"02:00:00:00:77:77"})";
          store_.put(own);
        }
    }
  }

  FakeStore store_;
  unsigned usurped_ = 0;  // how often somebody else wrote our lease
};

}  // namespace

std::unique_ptr<WorldStore> make_memory_store(const std::string& config) {
  return std::make_unique<MemoryStore>(config);
}

}  // namespace flannel
