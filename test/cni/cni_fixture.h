// A node for tests of the CNI plugins as programs: network and mount namespaces of its own, folders
// for what they keep, containers that are namespaces. All of it is gone with the process.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "cni/protocol/request.h"
#include "process/process.h"
#include "test/support/needs.h"
#include "test/support/programs.h"
#include "test/support/shell.h"

namespace flannel::cni {

using Variables = std::vector<std::pair<std::string, std::string>>;

struct Answer {
  int status = 0;
  std::string out, err;
  json::object document;  // empty where `out` is no JSON object

  bool ok() const { return status == 0; }
  std::int64_t code() const {
    const json::value* code = document.if_contains("code");
    return code == nullptr ? 0 : code->to_number<std::int64_t>();
  }
  std::string text(const char* name) const {
    const json::value* value = document.if_contains(name);
    return value == nullptr ? "" : std::string(value->get_string());
  }
  // The address, without length, of the I-th of `ips`.
  std::string ip(std::size_t i = 0) const {
    const std::string text(document.at("ips").at(i).at("address").get_string());
    return text.substr(0, text.find('/'));
  }
  std::string host_end() const {
    return std::string(document.at("interfaces").at(1).at("name").get_string());
  }
};

struct Pod {
  std::string id;
  std::string netns;
  std::string ifname = "eth0";
};

class CniFixture : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ASSERT_EQ(::unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("sysfs", "/sys", "sysfs", 0, nullptr), 0);  // of the new namespace
    ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64m"), 0);
    std::filesystem::create_directories(folder + "/bin");
    for (const char* plugin : {"flannel", "bridge", "host-local", "loopback", "portmap"}) {
      std::filesystem::create_symlink(program_path("flannel"), folder + "/bin/" + plugin);
    }
    shell("ip link set lo up");
    write(env_file(), kEnv);
  }
  void TearDown() override { ::umount2(folder.c_str(), MNT_DETACH); }

  static constexpr const char* kEnv =
      "FLANNEL_NETWORK=10.5.0.0/16\n"
      "FLANNEL_SUBNET=10.5.1.1/24\n"
      "FLANNEL_MTU=1450\n"
      "FLANNEL_IPMASQ=true\n";
  static constexpr const char* kDualEnv =
      "FLANNEL_NETWORK=10.5.0.0/16\n"
      "FLANNEL_SUBNET=10.5.1.1/24\n"
      "FLANNEL_IPV6_NETWORK=fc00:5::/48\n"
      "FLANNEL_IPV6_SUBNET=fc00:5:0:1::1/64\n"
      "FLANNEL_MTU=1450\n"
      "FLANNEL_IPMASQ=true\n";

  std::string env_file() const { return folder + "/subnet.env"; }
  std::string records() const { return folder + "/flannel"; }
  std::string networks() const { return folder + "/networks"; }
  std::string reservations() const { return networks() + "/cbr0"; }

  static void write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }

  // A network namespace with a path, as runtimes make them.
  Pod make_pod(const std::string& id) {
    const Pod pod{id, folder + "/netns-" + id};
    write(pod.netns, "");
    const pid_t child = ::fork();
    if (child == 0) {
      const bool made = ::unshare(CLONE_NEWNET) == 0 &&
                        ::mount("/proc/self/ns/net", pod.netns.c_str(), "", MS_BIND, "") == 0;
      ::_exit(made ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return pod;
  }
  static void remove_netns(const Pod& pod) {
    EXPECT_EQ(::umount2(pod.netns.c_str(), MNT_DETACH), 0);
    std::filesystem::remove(pod.netns);
  }
  static std::string in(const Pod& pod, const std::string& command) {
    return shell("nsenter --net=" + pod.netns + " " + command);
  }
  // Tries for five seconds: the first packets wait for neighbours to be found. With what `ping`
  // printed.
  static testing::AssertionResult pings(const std::string& from, const std::string& address,
                                        const char* more = "") {
    const ProcessOutput output = run_process(
        "/bin/sh",
        {"-c", "nsenter --net=" + from + " ping -c 1 -w 5 -i 0.2 " + more + " " + address}, "");
    return (output.status == 0 ? testing::AssertionSuccess() : testing::AssertionFailure())
           << output.out << output.err;
  }

  // The plugin's configuration, `more` in place of or beside what it has.
  json::object flannel_config(const json::object& more = {},
                              std::string_view version = "1.1.0") const {
    json::object config{{"cniVersion", version},
                        {"name", "cbr0"},
                        {"type", "flannel"},
                        {"subnetFile", env_file()},
                        {"dataDir", records()},
                        {"delegate", json::object()},
                        {"ipam", {{"dataDir", networks()}}}};
    return merged(config, more);
  }
  json::object bridge_config(const json::object& more = {},
                             std::string_view version = "1.1.0") const {
    json::object config{
        {"cniVersion", version},
        {"name", "cbr0"},
        {"type", "bridge"},
        {"isGateway", true},
        {"ipam", {{"type", "host-local"}, {"dataDir", networks()}, {"subnet", "10.5.1.0/24"}}}};
    return merged(config, more);
  }
  static json::object merged(json::object base, const json::object& more) {
    for (const json::key_value_pair& field : more) {
      base[field.key()] = field.value();
    }
    return base;
  }

  Variables variables(const std::string& verb, const Pod& pod, const Variables& more = {}) const {
    Variables out{{"CNI_COMMAND", verb},
                  {"CNI_CONTAINERID", pod.id},
                  {"CNI_NETNS", pod.netns},
                  {"CNI_IFNAME", pod.ifname},
                  {"CNI_PATH", folder + "/bin"}};
    for (const auto& each : more) {
      std::erase_if(out, [&](const auto& other) { return other.first == each.first; });
      out.push_back(each);
    }
    return out;
  }
  static Answer answer_of(const ProcessOutput& output) {
    Answer answer{output.status, output.out, output.err, {}};
    boost::system::error_code error;
    json::value document = json::parse(output.out, error);
    if (!error && document.is_object()) {
      answer.document = document.get_object();
    }
    return answer;
  }
  Answer call(const std::string& verb, const Pod& pod, const json::object& config,
              const Variables& more = {}) const {
    return call_program(folder + "/bin/" + std::string(config.at("type").get_string()), verb, pod,
                        config, more);
  }
  Answer call_program(const std::string& program, const std::string& verb, const Pod& pod,
                      const json::object& config, const Variables& more = {}) const {
    return answer_of(run_process(program, {}, json::serialize(config), variables(verb, pod, more)));
  }
  Answer add(const Pod& pod, const json::object& config, const Variables& more = {}) const {
    Answer answer = call("ADD", pod, config, more);
    EXPECT_TRUE(answer.ok()) << answer.out << answer.err;
    return answer;
  }
  void del(const Pod& pod, const json::object& config, const Variables& more = {}) const {
    const Answer answer = call("DEL", pod, config, more);
    EXPECT_TRUE(answer.ok()) << answer.out << answer.err;
    EXPECT_EQ(answer.out, "");
  }
  // With the result of an ADD, as runtimes give it to CHECK and DEL.
  static json::object with_result(json::object config, const Answer& added) {
    config["prevResult"] = added.document;
    return config;
  }

  static std::set<std::string> names_in(const std::string& path) {
    std::set<std::string> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      out.insert(entry.path().filename());
    }
    return out;
  }
  // Everything that a container's DEL has to remove, wherever it is.
  std::set<std::string> leftovers() const {
    std::set<std::string> out;
    std::istringstream links(shell("ip -br link show type veth"));
    for (std::string line; std::getline(links, line);) {
      out.insert("link " + line);
    }
    for (const std::string& name : names_in(records())) {
      out.insert("record " + name);
    }
    for (const std::string& name : names_in(reservations())) {
      if (name != "lock" && !name.starts_with("last_reserved_ip.")) {
        out.insert("reservation " + name);
      }
    }
    for (const char* command : {"iptables-save", "ip6tables-save", "nft"}) {
      const std::string rules =
          shell(command + std::string(*command == 'n' ? " list ruleset" : ""));
      for (const char* trace : {"id: ", "macspoofchk-", "CNI-DN-"}) {
        if (rules.find(trace) != std::string::npos) {
          out.insert(std::string("rule: ") + command);
        }
      }
    }
    return out;
  }
  using Names = std::set<std::string>;

  const TestDirectory directory;
  const std::string folder = directory.path();
};

}  // namespace flannel::cni
