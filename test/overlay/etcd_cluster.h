// Three etcd members and some nodes, each in a network namespace of its own on one bridge, so that
// any of them can be killed, paused or cut off. Everything goes with the object.
//
//   NAME-net   the bridge, 198.18.0.1/24
//   NAME-mI    member I: 198.18.0.(10+I)
//   NAME-nI    node I: 198.18.0.(20+I), without a daemon
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ctl/process.h"
#include "test/support/etcd_server.h"

namespace flannel {

class EtcdCluster {
 public:
  static constexpr unsigned kMembers = 3;

  // Needs root. Returns when the members answer.
  EtcdCluster(std::string name, unsigned nodes);
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;
  ~EtcdCluster();

  std::string place(char kind, unsigned i) const;  // the namespace of member ('m') or node ('n') i
  std::string endpoints() const;                   // for --etcd-endpoints
  std::string file(const std::string& name) const { return directory_.file(name); }

  // Members are numbered from 1. What is so already stays.
  void start(unsigned member);
  void kill(unsigned member);
  void pause(unsigned member);
  void go_on(unsigned member);
  // Takes it off the bridge.
  void isolate(unsigned member);
  // Neither hears of the other: what the first sends to the second's address is swallowed.
  void cut(const std::string& from, const std::string& address);
  static std::string member_address(unsigned i);
  static std::string node_address(unsigned i);
  // Nobody is cut off, paused or dead any more.
  void heal();

  // etcdctl's output; nothing where the cluster did not answer within two seconds.
  std::optional<std::string> ctl(std::vector<std::string> words) const;

 private:
  void add_place(const std::string& name, const std::string& port, const std::string& address);
  void ip(const std::string& netns, const std::string& lines) const;

  std::string name_;
  TestDirectory directory_;
  std::vector<std::string> namespaces_;
  std::vector<std::optional<ProcessId>> members_{kMembers + 1};
};

}  // namespace flannel
