// portmap on a real host: traffic by its rules, and which rules there are.
#include <sys/resource.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>

#include "base/directory_fixture.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"
#include "test/cni/pod_fixture.h"

namespace flannel::cni {
namespace {

constexpr const char* kMappings =
    R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
        {"hostPort":5353,"containerPort":53,"protocol":"udp"}])";

// Of container `id`, with the addresses of the fixture's.
Request request_for(Verb verb, const std::string& id, const std::string& mappings = kMappings,
                    const std::string& more = "") {
  Request request{.verb = verb, .attachment = {id, "eth0"}, .netns = "/pod", .name = "cbr0"};
  request.version = "1.1.0";
  request.config =
      parse_json_object(fmt::format(R"({{"cniVersion":"1.1.0","name":"cbr0","type":"portmap"{},
        "runtimeConfig":{{"portMappings":{}}},
        "prevResult":{{"cniVersion":"1.1.0",
          "interfaces":[{{"name":"cni0"}},{{"name":"veth0"}},{{"name":"eth0","sandbox":"/pod"}}],
          "ips":[{{"interface":2,"address":"10.244.1.5/24"}},
                 {{"interface":2,"address":"fd00:1::5/64"}}]}}}})",
                                    more, mappings),
                        "test");
  return request;
}

void add(const std::string& id, const std::string& mappings = kMappings,
         const std::string& more = "") {
  kPortmap.add(request_for(Verb::add, id, mappings, more));
}

void del(const std::string& id, const std::string& mappings = kMappings) {
  kPortmap.del(request_for(Verb::del, id, mappings));
}

std::string one_port(int port) {
  return fmt::format(R"([{{"hostPort":{},"containerPort":80,"protocol":"tcp"}}])", port);
}

using Portmap = PodTest;

class PortmapOf : public PodTest, public testing::WithParamInterface<const char*> {
 protected:
  static std::string backend() { return fmt::format(R"(,"backend":"{}")", GetParam()); }
};

TEST_P(PortmapOf, LeadsFromPortsOfTheHostToTheContainer) {
  const EchoServer server(*pod_, 80, 53);
  add("c1", kMappings, backend());
  // From outside, the container sees who it is.
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "198.18.0.3");
  EXPECT_EQ(ask_from(*outside_, SOCK_DGRAM, "198.18.0.2", 5353), "198.18.0.3");
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "fd00:2::2", 8080), "fd00:2::3");
  EXPECT_EQ(ask_from(*outside_, SOCK_DGRAM, "fd00:2::2", 5353), "fd00:2::3");
  // Not by the other protocol.
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 5353), "");
  // From the host, by its localhost too, and from the container itself.
  EXPECT_EQ(ask(SOCK_STREAM, "127.0.0.1", 8080), "10.244.1.1");
  EXPECT_EQ(ask(SOCK_DGRAM, "127.0.0.1", 5353), "10.244.1.1");
  EXPECT_EQ(ask(SOCK_STREAM, "198.18.0.2", 8080), "198.18.0.2");
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "198.18.0.2", 8080), "10.244.1.1");
  EXPECT_EQ(ask_from(*pod_, SOCK_DGRAM, "198.18.0.2", 5353), "10.244.1.1");
  EXPECT_EQ(ask_from(*pod_, SOCK_STREAM, "fd00:2::2", 8080), "fd00:1::1");
}

TEST_P(PortmapOf, DeletionLeavesOnlyWhatContainersShare) {
  const EchoServer server(*pod_, 80, 53);
  add("c1", kMappings, backend());
  del("c1");
  const std::string shared = rules();
  EXPECT_EQ(shared.find("CNI-DN-"), std::string::npos);
  EXPECT_EQ(shared.find("c1"), std::string::npos);
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "");
  add("c2", kMappings, backend());
  EXPECT_NE(rules(), shared);
  del("c2");
  del("c2");
  EXPECT_EQ(rules(), shared);
}

TEST_P(PortmapOf, AddedTwiceIsThereOnce) {
  add("c1", kMappings, backend());
  const std::string once = rules();
  add("c1", kMappings, backend());
  EXPECT_EQ(rules(), once);
}

TEST_P(PortmapOf, CheckSeesAMissingRule) {
  add("c1", kMappings, backend());
  EXPECT_NO_THROW(kPortmap.check(request_for(Verb::check, "c1", kMappings, backend())));
  const std::string flush = GetParam() == std::string("iptables")
                                ? "iptables -t nat -F CNI-HOSTPORT-DNAT"
                                : "nft flush chain ip cni_hostport masquerading";
  shell(flush);
  EXPECT_THROW(kPortmap.check(request_for(Verb::check, "c1", kMappings, backend())), CniError);
}

TEST_P(PortmapOf, OnlyTheAddressAskedForLeadsThere) {
  const EchoServer server(*pod_, 80, 53);
  shell("ip addr add 198.18.0.4/24 dev eth0");
  add("c1", R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"198.18.0.4"}])",
      backend());
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.4", 8080), "198.18.0.3");
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "");
}

TEST_P(PortmapOf, WithoutSnatTheSourceStays) {
  const EchoServer server(*pod_, 80, 53);
  add("c1", kMappings, backend() + R"(,"snat":false)");
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "198.18.0.3");
  EXPECT_EQ(*read_file("/proc/sys/net/ipv4/conf/cni0/route_localnet"), "0\n");
  EXPECT_EQ(rules().find("masq"), std::string::npos);
}

TEST_P(PortmapOf, MasqAllHidesEverybody) {
  const EchoServer server(*pod_, 80, 53);
  add("c1", kMappings, backend() + R"(,"masqAll":true)");
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "10.244.1.1");
}

TEST_P(PortmapOf, UdpOfBeforeGoesToTheContainerToo) {
  const EchoServer server(*pod_, 80, 53);
  add("other", one_port(9000), backend());  // from now on connections are tracked
  UniqueFd client;
  outside_->run([&] { client = connected(SOCK_DGRAM, "198.18.0.2", 5353); });
  EXPECT_EQ(answer_by(client), "");
  add("c1", kMappings, backend());
  std::string answer;
  for (int i = 0; i < 50 && answer.empty(); ++i) {  // a second an answer: they go behind our back
    answer = answer_by(client);
  }
  EXPECT_EQ(answer, "198.18.0.3");
}

INSTANTIATE_TEST_SUITE_P(Backends, PortmapOf, testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

TEST_F(Portmap, FirstContainersOfANodeAtTheSameTimeKeepTheirPorts) {
  constexpr int kContainers = 16;
  std::vector<std::thread> threads;
  for (int i = 0; i < kContainers; ++i) {
    threads.emplace_back([i] { EXPECT_NO_THROW(add(fmt::format("c{}", i), one_port(9000 + i))); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const char* program : {"iptables-save -t nat", "ip6tables-save -t nat"}) {
    const std::string table = shell(program);
    EXPECT_EQ(count(table, "-A CNI-HOSTPORT-DNAT "), kContainers);
    EXPECT_EQ(count(table, "-A PREROUTING "), 1);
    EXPECT_EQ(count(table, "-A OUTPUT "), 1);
    EXPECT_EQ(count(table, "-A POSTROUTING "), 1);
  }
}

TEST_F(Portmap, PortsSurviveThatSomebodyEmptiesTheEntryChains) {
  const EchoServer server(*pod_, 80, 53);
  add("c1");
  shell("iptables -t nat -F PREROUTING; iptables -t nat -F OUTPUT");
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "");
  add("c2", one_port(9000));
  EXPECT_EQ(ask_from(*outside_, SOCK_STREAM, "198.18.0.2", 8080), "198.18.0.3");
}

TEST_F(Portmap, MarkedPacketsAreMasqueradedBeforeAnythingElse) {
  shell("iptables -t nat -A POSTROUTING -s 10.244.1.5/32 -j ACCEPT");
  add("c1");
  const std::string table = shell("iptables-save -t nat");
  EXPECT_LT(table.find("-j CNI-HOSTPORT-MASQ"), table.find("-A POSTROUTING -s 10.244.1.5/32"));
}

TEST_F(Portmap, OldSnatChainsGoWithTheContainer) {
  add("c1");
  // sha512("cbr0c1")
  const std::string old = "CNI-SN-" + shell("printf cbr0c1 | sha512sum").substr(0, 21);
  shell(
      fmt::format("iptables -t nat -N CNI-HOSTPORT-SNAT; iptables -t nat -N {0};"
                  "iptables -t nat -A CNI-HOSTPORT-SNAT -m comment --comment x -j {0}",
                  old));
  del("c1");
  EXPECT_EQ(rules().find("CNI-SN-"), std::string::npos);
  EXPECT_EQ(rules().find("CNI-DN-"), std::string::npos);
}

TEST_F(Portmap, GarbageIsWhatIsNotNamedOfTheNetwork) {
  add("c1", one_port(9001));
  add("c2", one_port(9002));
  Request other = request_for(Verb::add, "c3", one_port(9003));
  other.name = "cbr";
  kPortmap.add(other);
  Request gc =
      request_for(Verb::gc, "", kMappings,
                  R"(,"cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}])");
  gc.attachment = {};
  kPortmap.gc(gc);
  const std::string left = rules();
  EXPECT_EQ(left.find("9001"), std::string::npos);
  EXPECT_NE(left.find("9002"), std::string::npos);
  EXPECT_NE(left.find("9003"), std::string::npos);
}

TEST_F(Portmap, PortsComeAndGoWhateverElseTheTableHas) {
  fill_nat_table();
  add("c1");
  add("c1");  // a DEL that was missed
  del("c1");
  EXPECT_EQ(rules().find("CNI-DN-"), std::string::npos);
  add("c1");
  Request gc = request_for(Verb::gc, "", kMappings, R"(,"cni.dev/valid-attachments":[])");
  gc.attachment = {};
  kPortmap.gc(gc);
  EXPECT_EQ(rules().find("CNI-DN-"), std::string::npos);
}

TEST_F(Portmap, AnExternalMarkChainThatIsMissingChangesNothing) {
  const std::string before = shell("iptables-save -t nat | grep -v '^#'");
  EXPECT_THROW(add("c1", kMappings, R"(,"externalSetMarkChain":"NOT-THERE")"), std::runtime_error);
  EXPECT_EQ(shell("iptables-save -t nat | grep -v '^#'"), before);
}

// Counts runs by a program of the same name that comes first in PATH.
class RunCounter {
 public:
  RunCounter() {
    for (const std::string name : {"iptables-restore", "ip6tables-restore", "iptables-save",
                                   "ip6tables-save", "iptables", "ip6tables", "nft"}) {
      std::ofstream(folder_ + "/" + name) << "#!/bin/sh\necho " << name << " >> " << folder_
                                          << "/log\nexec /usr/sbin/" << name << " \"$@\"\n";
      ::chmod((folder_ + "/" + name).c_str(), 0755);
    }
    ::setenv("PATH", (folder_ + ":" + path_).c_str(), 1);
  }
  ~RunCounter() { ::setenv("PATH", path_.c_str(), 1); }
  // Since the last call, in alphabetical order.
  std::string runs() {
    return shell(fmt::format("touch {0}/log; sort {0}/log | tr '\\n' ' '; : > {0}/log", folder_));
  }

 private:
  const TestDirectory directory_;
  const std::string folder_ = directory_.path();
  std::string path_ = std::getenv("PATH");
};

TEST_F(Portmap, RunsOneProgramAFamilyAndNoneForNothing) {
  RunCounter counter;
  add("c1");
  counter.runs();
  add("c2", one_port(9000));
  EXPECT_EQ(counter.runs(), "ip6tables-restore iptables-restore ");
  kPortmap.check(request_for(Verb::check, "c2", one_port(9000)));
  EXPECT_EQ(counter.runs(), "ip6tables-restore iptables-restore ");
  del("c2", one_port(9000));
  EXPECT_EQ(counter.runs(), "ip6tables-restore iptables-restore ");
  del("c2", one_port(9000));
  EXPECT_EQ(counter.runs(), "");
  add("c3", "[]");
  EXPECT_EQ(counter.runs(), "");
  add("c4", one_port(9000), R"(,"backend":"nftables")");
  EXPECT_EQ(counter.runs(), "nft ");
  del("c4", one_port(9000));
  EXPECT_EQ(counter.runs(), "nft ");
}

// The Go plugins, where CNI_REFERENCE names their folder.
class PortmapBesideReference : public PortmapOf {
 protected:
  void SetUp() override {
    if (std::getenv("CNI_REFERENCE") == nullptr) {
      GTEST_SKIP() << "SKIPPED: CNI_REFERENCE names no folder of the reference's plugins";
    }
    PodTest::SetUp();
  }
  static void reference(const char* verb, const Request& request) {
    const std::string folder = std::getenv("CNI_REFERENCE");
    const ProcessOutput output =
        run_process(folder + "/portmap", {}, json::serialize(request.config),
                    {{"CNI_COMMAND", verb},
                     {"CNI_CONTAINERID", request.attachment.container_id},
                     {"CNI_IFNAME", "eth0"},
                     {"CNI_NETNS", "/proc/self/ns/net"},
                     {"CNI_NETNS_OVERRIDE", "1"},
                     {"CNI_PATH", folder}});
    EXPECT_EQ(output.status, 0) << output.out;
  }
  // What a namespace has after `work`.
  static std::string rules_after(const std::function<void()>& work) {
    std::string out;
    Namespace().run([&] {
      work();
      out = rules();
    });
    return out;
  }
};

TEST_P(PortmapBesideReference, MakesTheSameRules) {
  const std::string all = R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
    {"hostPort":5353,"containerPort":53,"protocol":"udp"},
    {"hostPort":9443,"containerPort":443,"protocol":"sctp","hostIP":"::"},
    {"hostPort":8443,"containerPort":443,"protocol":"tcp","hostIP":"198.18.0.2"}])";
  for (const char* more : {"", R"(,"snat":false)", R"(,"masqAll":true)", R"(,"markMasqBit":31)"}) {
    const Request request = request_for(Verb::add, "c1", all, backend() + more);
    const Request second = request_for(Verb::add, "c2", one_port(9000), backend() + more);
    EXPECT_EQ(rules_after([&] {
                kPortmap.add(request);
                kPortmap.add(second);
              }),
              rules_after([&] {
                reference("ADD", request);
                reference("ADD", second);
              }))
        << more;
  }
}

TEST_P(PortmapBesideReference, EitherChecksAndDeletesTheOthers) {
  const Request first = request_for(Verb::add, "c1", kMappings, backend());
  const Request second = request_for(Verb::add, "c2", one_port(9000), backend());
  kPortmap.add(first);
  reference("ADD", second);
  reference("CHECK", first);
  EXPECT_NO_THROW(kPortmap.check(second));
  reference("DEL", first);
  kPortmap.del(second);
  EXPECT_EQ(rules().find("CNI-DN-"), std::string::npos);
  EXPECT_EQ(rules().find("dnat to"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Backends, PortmapBesideReference, testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace flannel::cni
