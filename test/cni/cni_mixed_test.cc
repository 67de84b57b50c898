// The CNI plugin among others: delegates of any kind, and the Go plugins of the folder that
// CNI_REFERENCE names, on the same node at the same time.
#include <sys/stat.h>

#include <set>
#include <sstream>
#include <thread>

#include "test/cni/cni_fixture.h"

namespace flannel::cni {
namespace {

class CniMixed : public CniFixture {
 protected:
  void write_program(const std::string& name, const std::string& body) const {
    write(folder + "/bin/" + name, "#!/bin/sh\n" + body);
    ASSERT_EQ(::chmod((folder + "/bin/" + name).c_str(), 0755), 0);
  }
  std::string text_of(const std::string& name) const {
    return read_file(folder + "/" + name).value_or("none");
  }
};

TEST_F(CniMixed, HandsOnToAnyOtherPlugin) {
  const Pod pod = make_pod("pod");
  write_program("third", "cat >" + folder + "/input-$CNI_COMMAND\nenv >" + folder +
                             "/environment-$CNI_COMMAND\n"
                             "echo noise >&2\n"
                             "[ $CNI_COMMAND != ADD ] || echo "
                             R"('{"ips":[{"address":"10.9.9.9/24"}],"strange":5}')"
                             "\n");
  const json::object config =
      flannel_config({{"delegate", {{"type", "third"}, {"own", json::array{1, "x"}}}}}, "1.0.0");
  const Answer added = add(pod, config, {{"CNI_ARGS", "A=B"}});
  EXPECT_EQ(json::serialize(added.document),
            R"({"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]})");
  const json::object input = json::parse(text_of("input-ADD")).get_object();
  EXPECT_EQ(json::serialize(input.at("own")), R"([1,"x"])");
  EXPECT_EQ(input.at("name"), "cbr0");
  EXPECT_EQ(input.at("mtu"), 1450);
  EXPECT_FALSE(input.contains("isGateway"));
  const std::string environment = text_of("environment-ADD");
  for (const std::string& each :
       {std::string("CNI_COMMAND=ADD"), std::string("CNI_CONTAINERID=pod"),
        std::string("CNI_IFNAME=eth0"), std::string("CNI_ARGS=A=B"), "CNI_NETNS=" + pod.netns}) {
    EXPECT_NE(environment.find(each + "\n"), std::string::npos) << each;
  }
  EXPECT_TRUE(call("CHECK", pod, with_result(config, added)).ok());
  EXPECT_TRUE(json::parse(text_of("input-CHECK")).get_object().contains("prevResult"));
  std::filesystem::remove(env_file());
  del(pod, config);
  EXPECT_EQ(json::parse(text_of("input-DEL")).get_object().at("own"), input.at("own"));
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniMixed, PassesOnADelegatesError) {
  const Pod pod = make_pod("pod");
  const json::object config = flannel_config({{"delegate", {{"type", "third"}}}});
  EXPECT_EQ(call("ADD", pod, config).text("msg"),
            "failed to find plugin \"third\" in path [" + folder + "/bin]");
  EXPECT_EQ(leftovers(), Names());
  write_program("third", R"(echo '{"code":11,"msg":"later","details":"why"}'; exit 1)");
  Answer answer = call("ADD", pod, config);
  EXPECT_EQ(answer.code(), 11);
  EXPECT_EQ(answer.text("msg"), "later");
  EXPECT_EQ(answer.text("details"), "why");
  // Go's flannel forgets the container here, so that nothing removes it any more.
  EXPECT_EQ(call("DEL", pod, config).code(), 11);
  EXPECT_EQ(names_in(records()), Names{"pod"});
  write_program("third", "echo words; echo more >&2; exit 3");
  answer = call("ADD", pod, config);
  EXPECT_EQ(answer.code(), 999);
  EXPECT_NE(answer.text("msg").find("ended with status 3: words\\x0amore"), std::string::npos)
      << answer.out;
  write_program("third", "kill -9 $$");
  EXPECT_NE(call("ADD", pod, config).text("msg").find("status 137"), std::string::npos);
  write_program("third", "echo '[]'");
  EXPECT_EQ(call("ADD", pod, config).code(), 6);
  write_program("third", "[ $CNI_COMMAND = DEL ] || echo null");
  EXPECT_EQ(json::serialize(add(pod, config).document), R"({"cniVersion":"1.1.0"})");
  del(pod, config);
  EXPECT_EQ(leftovers(), Names());
  EXPECT_EQ(call("ADD", pod, flannel_config({{"delegate", {{"type", "../third"}}}})).code(), 7);
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniMixed, TellsWhatAFailedDelegateSaidWhereThatIsNoError) {
  const Pod pod = make_pod("pod");
  const json::object config = flannel_config({{"delegate", {{"type", "third"}}}});
  const std::string result = R"({"cniVersion":"1.0.0","ips":[],"x":")" + std::string(3000, 'x');
  for (const std::string& printed :
       {std::string("{}"), std::string(R"({"code":0,"msg":"why"})"), std::string(R"({"code":7})"),
        std::string(R"({"code":-7,"msg":"why"})"),
        std::string(R"({"code":4294967297,"msg":"why"})"), std::string(R"({"code":7,"msg":""})"),
        result + "\"}"}) {
    write(folder + "/printed", printed);
    write_program("third", "cat " + folder + "/printed; echo the real reason >&2; exit 1");
    for (const char* verb : {"ADD", "DEL"}) {
      const Answer answer = call(verb, pod, config);
      EXPECT_EQ(answer.code(), 999) << answer.out;
      EXPECT_NE(answer.text("msg").find(printed.substr(0, 20)), std::string::npos) << answer.out;
      EXPECT_NE(answer.text("msg").find("the real reason"), std::string::npos) << answer.out;
      EXPECT_EQ(answer.err, "the real reason\n");
    }
  }
  write_program("third", R"(echo '{"code":11,"msg":"later"}'; echo more >&2; exit 1)");
  const Answer answer = call("ADD", pod, config);
  EXPECT_EQ(answer.text("msg"), "later");
  EXPECT_EQ(answer.err, "more\n");
}

// A DEL would fail as well, for ever, and the pod with it.
TEST_F(CniMixed, LeavesNoRecordOfAPluginThatCannotBeRun) {
  const Pod pod = make_pod("pod");
  write(folder + "/bin/no-program", "words");
  write_program("no-interpreter", "");
  write(folder + "/bin/no-interpreter", "#!/nowhere/sh\n");
  for (const char* type : {"missing", "../x", "no-program", "no-interpreter"}) {
    for (const json::object& config : {flannel_config({{"delegate", {{"type", type}}}}),
                                       flannel_config({{"ipam", {{"type", type}}}})}) {
      EXPECT_FALSE(call("ADD", pod, config).ok()) << type;
      EXPECT_EQ(leftovers(), Names()) << type;
      del(pod, config);
    }
  }
}

TEST_F(CniMixed, MakesValidJsonOfWhateverADelegatePrints) {
  const Pod pod = make_pod("pod");
  write_program("third", R"(printf '\377\033[2J\nx' ; printf '\376\a\n' >&2; exit 1)");
  const Answer answer = call("ADD", pod, flannel_config({{"delegate", {{"type", "third"}}}}));
  EXPECT_EQ(answer.code(), 999) << answer.out;
  EXPECT_NE(answer.text("msg").find("\\xff\\x1b[2J\\x0ax\\xfe\\x07"), std::string::npos)
      << answer.out;
}

TEST_F(CniMixed, WaitsForAPluginThatIsBeingInstalled) {
  const Pod pod = make_pod("pod");
  std::filesystem::copy_file("/bin/true", folder + "/bin/third");
  UniqueFd writer(::open((folder + "/bin/third").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(writer);
  std::thread installer([&] {
    ::usleep(200'000);
    writer = UniqueFd();
  });
  const Answer answer =
      call("DEL", pod, flannel_config({{"delegate", {{"type", "third"}}}}));  // no record: nothing
  EXPECT_TRUE(answer.ok());
  write(records() + "/pod", R"({"type":"third","name":"cbr0","cniVersion":"1.1.0"})");
  del(pod, flannel_config());
  installer.join();
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniMixed, WorksWithAnyIpam) {
  const Pod pod = make_pod("pod");
  write_program("other-ipam", "cat >" + folder +
                                  "/input-$CNI_COMMAND\n[ $CNI_COMMAND != ADD ] || "
                                  R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.5.1.99/24",)"
                                  R"("gateway":"10.5.1.1"}]}')");
  const json::object config = flannel_config({{"ipam", {{"type", "other-ipam"}}}});
  EXPECT_EQ(add(pod, config).ip(), "10.5.1.99");
  EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
  del(pod, config);
  EXPECT_NE(text_of("input-DEL"), "none");
  EXPECT_EQ(leftovers(), Names());
  json::object collected = config;
  collected["cni.dev/valid-attachments"] = json::array();
  EXPECT_TRUE(call("GC", {}, collected).ok());
  EXPECT_EQ(json::parse(text_of("input-GC")).get_object().at("name"), "cbr0");
}

// A runtime's GC has no container in its environment, and a plugin that fails stops no other.
TEST_F(CniMixed, APluginThatWouldBeRunByItselfIsRefused) {
  const Pod pod = make_pod("pod");
  for (const std::string type : {"flannel", "bridge"}) {
    const json::object config = flannel_config({{"ipam", {{"type", type}}}});
    for (const char* command : {"ADD", "STATUS"}) {
      const Answer answer = call(command, pod, config);
      EXPECT_EQ(answer.text("msg"),
                fmt::format("plugin \"{0}\" would be run by itself: flannel/bridge/{0}", type))
          << command << " " << answer.out;
    }
    del(pod, config);
    EXPECT_EQ(leftovers(), Names());
  }
}

TEST_F(CniMixed, CollectsWithAnyOtherPlugin) {
  write_program("third",
                "cat >" + folder + "/input-$CNI_COMMAND\n" +
                    "echo \"$CNI_COMMAND [$CNI_CONTAINERID] [$CNI_IFNAME] [$CNI_NETNS]\" >>" +
                    folder +
                    "/calls\n[ $CNI_COMMAND != ADD ] || echo null\n"
                    "[ $CNI_COMMAND$CNI_CONTAINERID != DELbad ]\n");
  json::object config = flannel_config({{"delegate", {{"type", "third"}}}});
  for (const char* id : {"bad", "gone", "stays"}) {
    add(make_pod(id), config);
  }
  write(records() + "/of-go", R"({"type":"third","name":"cbr0","cniVersion":"1.1.0"})");
  write(records() + "/strange", R"({"type":"third","name":5})");
  std::filesystem::remove(folder + "/calls");
  config["cni.dev/valid-attachments"] = json::array{{{"containerID", "stays"}, {"ifname", "eth0"}}};
  const Answer answer = call("GC", {"", "", ""}, config);
  EXPECT_EQ(answer.code(), 999) << answer.out;
  EXPECT_NE(answer.text("msg").find("\"third\" ended with status 1"), std::string::npos)
      << answer.out;
  EXPECT_EQ(names_in(records()), (Names{"bad", "stays", "strange"}));
  std::multiset<std::string> calls;
  std::istringstream lines(text_of("calls"));
  for (std::string line; std::getline(lines, line);) {
    calls.insert(line);
  }
  EXPECT_EQ(calls, (std::multiset<std::string>{"DEL [bad] [eth0] []", "DEL [gone] [eth0] []",
                                               "DEL [of-go] [eth0] []", "GC [] [] []"}));
  EXPECT_EQ(json::parse(text_of("input-GC")).get_object().at("cni.dev/valid-attachments"),
            config.at("cni.dev/valid-attachments"));
}

TEST_F(CniMixed, IsAsReadyAsThePluginsItHandsOnTo) {
  write_program("third", "echo seen >&2\n[ ! -e " + folder + "/broken ] || " +
                             R"({ echo '{"code":51,"msg":"half"}'; exit 1; })");
  const json::object delegate = flannel_config({{"delegate", {{"type", "third"}}}});
  const json::object ipam = flannel_config({{"ipam", {{"type", "third"}}}});
  for (const json::object& config : {delegate, ipam}) {
    const Answer answer = call("STATUS", {}, config);
    EXPECT_TRUE(answer.ok()) << answer.out;
    EXPECT_EQ(answer.err, "seen\n");
    write(folder + "/broken", "");
    EXPECT_EQ(call("STATUS", {}, config).code(), 51);
    std::filesystem::remove(folder + "/broken");
  }
  EXPECT_EQ(call("STATUS", {}, flannel_config({{"delegate", {{"type", "fourth"}}}})).text("msg"),
            "failed to find plugin \"fourth\" in path [" + folder + "/bin]");
}

// With the reference's plugins under folder/reference.
class CniReference : public CniMixed {
 protected:
  void SetUp() override {
    const char* reference = std::getenv("CNI_REFERENCE");
    if (reference == nullptr) {
      GTEST_SKIP() << "SKIPPED: CNI_REFERENCE names no folder with the Go plugins";
    }
    CniMixed::SetUp();
    reference_ = reference;
  }
  Answer call_either(bool reference, const std::string& verb, const Pod& pod,
                     const json::object& config) const {
    return reference ? call_program(reference_ + "/flannel", verb, pod, config,
                                    {{"CNI_PATH", reference_}})
                     : call(verb, pod, config);
  }

  std::string reference_;
};

TEST_F(CniReference, EitherRemovesWhatTheOtherAdded) {
  for (const char* masquerade : {"true", "false"}) {
    write(env_file(), std::string(kDualEnv) + "FLANNEL_IPMASQ=" + masquerade + "\n");
    for (const bool by_reference : {true, false}) {
      for (const std::string_view version : {"0.3.1", "1.0.0"}) {
        SCOPED_TRACE(fmt::format("{} {} {}", masquerade, by_reference, version));
        const Pod pod = make_pod(fmt::format("{}{}{}", masquerade, by_reference, version));
        const json::object config = flannel_config({}, version);
        const Answer added = call_either(by_reference, "ADD", pod, config);
        ASSERT_TRUE(added.ok()) << added.out;
        EXPECT_TRUE(pings(pod.netns, "10.5.1.1"));
        if (version == "1.0.0") {
          const Answer checked =
              call_either(!by_reference, "CHECK", pod, with_result(config, added));
          EXPECT_TRUE(checked.ok()) << checked.out;
        }
        const Answer removed = call_either(!by_reference, "DEL", pod, with_result(config, added));
        EXPECT_TRUE(removed.ok()) << removed.out;
        EXPECT_EQ(leftovers(), Names());
      }
    }
  }
}

TEST_F(CniReference, BothAtOnceGiveNoAddressTwice) {
  const json::object config = flannel_config({}, "1.0.0");
  std::vector<Pod> pods;
  for (int i = 0; i < 24; ++i) {
    pods.push_back(make_pod(fmt::format("pod{}", i)));
  }
  std::vector<Answer> answers(pods.size());
  const auto all_at_once = [&](const char* verb, std::size_t who) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < pods.size(); ++i) {
      threads.emplace_back(
          [&, i] { answers[i] = call_either((i + who) % 2 == 0, verb, pods[i], config); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const Answer& answer : answers) {
      EXPECT_TRUE(answer.ok()) << answer.out;
    }
  };
  all_at_once("ADD", 0);
  Names addresses;
  for (const Answer& answer : answers) {
    addresses.insert(answer.ip());
  }
  EXPECT_EQ(addresses.size(), pods.size());
  all_at_once("DEL", 1);
  EXPECT_EQ(leftovers(), Names());
}

TEST_F(CniReference, PrintsTheSameResult) {
  for (const std::string_view version : kVersions) {
    SCOPED_TRACE(version);
    const Pod pod = make_pod("pod-" + std::string(version));
    const json::object config = flannel_config(
        {{"ipam", {{"dataDir", networks()}, {"routes", {{{"dst", "10.9.0.0/16"}}}}}}}, version);
    std::vector<std::string> results;
    for (const bool by_reference : {true, false}) {
      std::filesystem::remove(reservations() + "/last_reserved_ip.0");
      Answer added = call_either(by_reference, "ADD", pod, config);
      ASSERT_TRUE(added.ok()) << added.out;
      std::string text = added.out;
      if (version >= "0.3.0") {  // the names and MACs that the kernel drew
        for (json::value& interface : added.document.at("interfaces").get_array()) {
          const std::string mac(interface.at("mac").get_string());
          text.replace(text.find(mac), mac.size(), "MAC");
        }
        text.replace(text.find(added.host_end()), added.host_end().size(), "VETH");
      }
      results.push_back(text);
      EXPECT_TRUE(call_either(by_reference, "DEL", pod, config).ok());
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

}  // namespace
}  // namespace flannel::cni
