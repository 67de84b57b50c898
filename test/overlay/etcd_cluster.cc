#include "test/overlay/etcd_cluster.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <thread>

namespace flannel {

EtcdCluster::EtcdCluster(std::string name, unsigned nodes) : name_(std::move(name)) {
  const std::string net = name_ + "-net";
  run_program({"ip", "netns", "add", net});
  namespaces_.push_back(net);
  ip(net,
     "link set lo up\nlink add br0 type bridge\naddr add 198.18.0.1/24 dev br0\n"
     "link set br0 up\n");
  for (unsigned i = 1; i <= kMembers; ++i) {
    add_place(place('m', i), fmt::format("m{}", i), member_address(i));
  }
  for (unsigned i = 1; i <= nodes; ++i) {
    add_place(place('n', i), fmt::format("n{}", i), node_address(i));
  }
  heal();
  for (int left = 100; !ctl({"endpoint", "health"}); --left) {
    if (left == 0) {
      throw std::runtime_error("the members do not form a cluster");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

EtcdCluster::~EtcdCluster() {
  for (unsigned i = 1; i <= kMembers; ++i) {
    kill(i);
  }
  for (const std::string& name : namespaces_) {
    RunningProgram({"ip", "netns", "delete", name}).wait();
  }
}

std::string EtcdCluster::place(char kind, unsigned i) const {
  return fmt::format("{}-{}{}", name_, kind, i);
}

std::string EtcdCluster::member_address(unsigned i) {
  return fmt::format("198.18.0.{}", 10 + i);
}

std::string EtcdCluster::node_address(unsigned i) {
  return fmt::format("198.18.0.{}", 20 + i);
}

std::string EtcdCluster::endpoints() const {
  std::string out;
  for (unsigned i = 1; i <= kMembers; ++i) {
    out += fmt::format("{}http://{}:2379", out.empty() ? "" : ",", member_address(i));
  }
  return out;
}

void EtcdCluster::ip(const std::string& netns, const std::string& lines) const {
  run_program({"ip", "-n", netns, "-force", "-batch", "-"}, lines);
}

void EtcdCluster::add_place(const std::string& name, const std::string& port,
                            const std::string& address) {
  run_program({"ip", "netns", "add", name});
  namespaces_.push_back(name);
  ip(name_ + "-net", fmt::format("link add {0} type veth peer name eth0 netns {1}\n"
                                 "link set {0} master br0 up\n",
                                 port, name));
  ip(name, fmt::format("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", address));
}

void EtcdCluster::start(unsigned member) {
  if (members_[member]) {
    return;
  }
  std::string peers;
  for (unsigned i = 1; i <= kMembers; ++i) {
    peers += fmt::format("{}m{}=http://{}:2380", i > 1 ? "," : "", i, member_address(i));
  }
  const std::string own = fmt::format("http://{}", member_address(member));
  // A member that was away for some changes gets a whole snapshot.
  members_[member] = start_detached(
      {EtcdServer::program(), fmt::format("--name=m{}", member),
       "--data-dir=" + file(fmt::format("m{}", member)), "--listen-client-urls=" + own + ":2379",
       "--advertise-client-urls=" + own + ":2379", "--listen-peer-urls=" + own + ":2380",
       "--initial-advertise-peer-urls=" + own + ":2380", "--initial-cluster=" + peers,
       "--heartbeat-interval=50", "--election-timeout=500", "--snapshot-count=50",
       "--log-level=error"},
      place('m', member), file(fmt::format("m{}.log", member)), [](const ProcessId&) {});
}

void EtcdCluster::kill(unsigned member) {
  if (members_[member]) {
    end_process(*members_[member], true);
    ::waitpid(members_[member]->pid, nullptr, 0);
    members_[member].reset();
  }
}

void EtcdCluster::pause(unsigned member) {
  if (members_[member]) {
    ::kill(members_[member]->pid, SIGSTOP);
  }
}

void EtcdCluster::go_on(unsigned member) {
  if (members_[member]) {
    ::kill(members_[member]->pid, SIGCONT);
  }
}

void EtcdCluster::isolate(unsigned member) {
  ip(name_ + "-net", fmt::format("link set m{} down\n", member));
}

void EtcdCluster::cut(const std::string& from, const std::string& address) {
  ip(from, fmt::format("route replace blackhole {}/32\n", address));
}

void EtcdCluster::heal() {
  for (unsigned i = 1; i <= kMembers; ++i) {
    ip(name_ + "-net", fmt::format("link set m{} up\n", i));
    ip(place('m', i), "route flush type blackhole\n");
    go_on(i);
    start(i);
  }
}

std::optional<std::string> EtcdCluster::ctl(std::vector<std::string> words) const {
  Arguments command = {"ip",
                       "netns",
                       "exec",
                       name_ + "-net",
                       "env",
                       "ETCDCTL_API=3",
                       "etcdctl",
                       "--endpoints=" + endpoints(),
                       "--command-timeout=2s",
                       "--dial-timeout=1s"};
  command.insert(command.end(), words.begin(), words.end());
  const ProgramResult result = RunningProgram(command).wait();
  return result.status == 0 ? std::optional(result.output) : std::nullopt;
}

}  // namespace flannel
