// A multi-node overlay on one machine: nodes and pods are network namespaces, the daemons are real.
//
//   NAME-net   the underlay: a bridge, 198.18.0.1/16
//   NAME-nI    node I: eth0 198.18.0.(10+I), default route to the bridge, a flanneld
//   NAME-pI    its pod: eth0 with the second address of the node's subnet, routed by the node
//
// Nothing is made in the machine's own network namespace.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ctl/lab_journal.h"

namespace flannel {

struct LabWish {
  std::string name = "flab";
  unsigned nodes = 3;
  std::string backend = "vxlan";
  std::string store = "local";  // local, etcd, or etcd=URL
  std::string network = "10.5.0.0/16";
  std::string flanneld;  // path of the daemon
};

inline constexpr unsigned kMostLabNodes = 20;

// Checks what can be checked before anything is made.
Result<void> check_wish(const LabWish& wish);

// One row a pod, one column a pod: average round trip in milliseconds, nothing where no answer
// came.
using PingMatrix = std::vector<std::vector<std::optional<double>>>;
std::string to_text(const PingMatrix& matrix);
// The average of `ping -q`'s output, nothing where no packet came back.
std::optional<double> parse_ping_average(const std::string& output);

class Lab {
 public:
  explicit Lab(const std::string& name);

  // True where up() was called and down() was not.
  bool exists() const;
  // A program of it is alive.
  bool is_running() const;
  unsigned nodes() const;

  // Makes it all and waits until every node is ready, saying what it does. Throws
  // std::runtime_error, also after `interrupted` was set; what was made by then is still there.
  void up(const LabWish& wish);
  // Removes everything the journal names; false where something is left, which it says.
  bool down();

  // Starts or ends node I's daemon.
  void start_node(unsigned node);
  void stop_node(unsigned node, bool kill);

  std::string leases() const;
  std::string status() const;
  PingMatrix ping() const;

  // `n2` or `p2` -> its namespace. Error: there is no such node or pod.
  Result<std::string> namespace_of(const std::string& place) const;
  std::string node_socket(unsigned node) const;

 private:
  std::string folder(unsigned node) const;
  std::string net() const { return name_ + "-net"; }
  std::string node(unsigned i) const { return fmt::format("{}-n{}", name_, i); }
  std::string pod(unsigned i) const { return fmt::format("{}-p{}", name_, i); }
  void reread();
  void add_namespace(const std::string& name);
  void make_underlay();
  void make_node(unsigned i);
  void make_pod(unsigned i);
  void open_store(const LabWish& wish);
  std::string start_etcd();
  std::string start_relay(const std::string& url);
  void write_etcd_config(const std::vector<std::string>& etcdctl);
  void start_program(const std::string& what, const Arguments& arguments, const std::string& netns);
  void wait_until_ready(unsigned i);

  std::string name_;
  std::string directory_;
  LabJournal journal_;
  LabRecord record_;
};

// Set by SIGINT and SIGTERM while a lab is being made.
extern volatile bool interrupted;

}  // namespace flannel
