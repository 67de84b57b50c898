// A list of several pages, and a connection whose own address leaves: what a real etcd on a real
// host does when it is hard to have.
#include <sched.h>

#include <protozero/pbf_reader.hpp>
#include <thread>

#include "store/etcd_messages.h"
#include "test/support/etcd_replies.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel {
namespace {

etcd::RangeRequest read_range(const std::string& bytes) {
  etcd::RangeRequest request;
  for (protozero::pbf_reader reader(bytes); reader.next();) {
    switch (reader.tag()) {
      case 1:
        request.key = reader.get_string();
        break;
      case 2:
        request.range_end = reader.get_string();
        break;
      case 4:
        request.revision = reader.get_int64();
        break;
      default:
        reader.skip();
    }
  }
  return request;
}

// A page of entries, of which the list has `more`.
Reply page(std::initializer_list<const char*> subnets, bool more) {
  return {.body = grpc_frame(message(5, [&](pbf_writer& writer) {
            for (const char* subnet : subnets) {
              write_lease(writer, 2, subnet, 5);
            }
            writer.add_bool(3, more);
          }))};
}

class EtcdPages : public FakeEtcdTest {};

// The second page begins behind the last key of the first, and is of the same revision.
TEST_F(EtcdPages, AListOfSeveralPagesIsOfOneRevision) {
  std::vector<etcd::RangeRequest> asked;
  FakeEtcd server(loop, [&](const std::string&, const std::string& request) {
    asked.push_back(read_range(request));
    return asked.size() == 1 ? page({"10.5.1.0-24", "10.5.2.0-24"}, true)
                             : page({"10.5.3.0-24"}, false);
  });
  const auto store = open(server);
  const LeaseUpdate all = run(store->watch()->next());
  EXPECT_EQ(key_texts(all.leases),
            (std::set<std::string>{"10.5.1.0-24", "10.5.2.0-24", "10.5.3.0-24"}));
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].revision, 0);
  EXPECT_EQ(asked[1].revision, 5);
  EXPECT_EQ(asked[1].key, std::string("/coreos.com/network/subnets/10.5.2.0-24") + '\0');
  EXPECT_EQ(asked[1].range_end, asked[0].range_end);
}

// What a list has of a revision that is compacted meanwhile is dropped, and it begins anew.
TEST_F(EtcdPages, AListThatIsCompactedMeanwhileBeginsAnew) {
  unsigned calls = 0;
  FakeEtcd server(loop, [&](const std::string&, const std::string&) -> Reply {
    switch (++calls) {
      case 1:
        return page({"10.5.1.0-24"}, true);
      case 2:
        return {.trailers = Headers{
                    {"grpc-status", "11"},
                    {"grpc-message", "etcdserver: mvcc: required revision has been compacted"}}};
      case 3:
        return page({"10.5.2.0-24"}, true);
      default:
        return page({"10.5.3.0-24"}, false);
    }
  });
  const auto store = open(server);
  const LeaseUpdate all = run(store->watch()->next());
  EXPECT_EQ(key_texts(all.leases), (std::set<std::string>{"10.5.2.0-24", "10.5.3.0-24"}));
  EXPECT_EQ(calls, 4U);
}

class EtcdRoaming : public FakeEtcdTest {
 protected:
  // A server at 127.0.0.1 that is spoken to from an address which leaves.
  void test() {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    shell(
        "ip link set lo up && ip addr add 198.18.0.2/32 dev lo && "
        "ip route replace local 127.0.0.1 dev lo table local src 198.18.0.2");
    int watches = 0;
    const std::string created =
        grpc_frame(message(6, [](pbf_writer& writer) { writer.add_bool(3, true); }));
    FakeEtcd server(loop, [&](const std::string& path, const std::string&) -> Reply {
      if (path != kWatch) {
        return honest(path);
      }
      const bool again = ++watches > 1;
      return {.body = (again ? created : kCreated + grpc_frame(put_event("10.5.9.0-24", 5))) +
                      grpc_frame(put_event("10.5.11.0-24", 6)) +
                      (again ? grpc_frame(put_event("10.5.12.0-24", 7)) : ""),
              .trailers = std::nullopt};
    });
    const auto store = open(server);
    const auto watch = store->watch();
    EXPECT_TRUE(run(watch->next()).snapshot);
    EXPECT_EQ(key_texts(run(watch->next()).leases), std::set<std::string>{"10.5.11.0-24"});
    store->host_changed();
    loop.run_for(50ms);
    loop.restart();
    EXPECT_EQ(watches, 1) << "its address is still there";

    shell("ip addr del 198.18.0.2/32 dev lo && ip route del local 127.0.0.1 table local");
    const auto left = std::chrono::steady_clock::now();
    store->host_changed();
    EXPECT_EQ(key_texts(run(watch->next()).leases), std::set<std::string>{"10.5.12.0-24"});
    EXPECT_LT(std::chrono::steady_clock::now() - left, 4s) << "not by the keepalive's 9 s";
    EXPECT_EQ(watches, 2);
  }
};

TEST_F(EtcdRoaming, AConnectionFromAnAddressThatLeftIsGivenUpAtOnce) {
  ROOT_OR_SKIP();
  std::thread([this] { test(); }).join();  // the namespace is the thread's
}

}  // namespace
}  // namespace flannel
