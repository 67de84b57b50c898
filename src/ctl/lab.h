// A multi-node overlay on one machine: nodes and pods are network namespaces, the daemons are real.
//
//   NAME-net   the underlay: a bridge, 198.18.0.1/16 and fd99::1/64; a router with --routed
//   NAME-nI    node I: eth0 198.18.0.(10+I) and fd99::(10+I), default route to NAME-net, a flanneld
//   NAME-pI    its pod: eth0 with the second address of the node's subnets, routed by the node
//   NAME-out   a host outside of the overlay, 198.18.0.100 and fd99::100: it has no route to pods,
//              so that it only answers those that their node masquerades
//
// Nothing is made in the machine's own network namespace.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "ctl/lab_journal.h"
#include "ctl/status_page.h"

namespace flannel {

struct LabOptions {
  std::string name = "flab";
  unsigned nodes = 3;
  std::string backend = "vxlan";
  std::string store = "local";  // local, etcd, or etcd=URL
  bool v4 = true;               // families of the overlay; the underlay has both
  bool v6 = false;
  bool routed = false;    // each node on a subnet of its own, with a router between them
  bool nftables = false;  // the tool that the nodes masquerade with; else iptables
  std::string network = "10.5.0.0/16";
  std::string ipv6_network = "fc00:5::/48";
  std::string flanneld;  // path of the daemon
};

inline constexpr unsigned kMostLabNodes = 20;

// The network configuration's text. `backend` is a type, or the whole object in JSON.
std::string network_config_text(const LabOptions& options);

// Checks what can be checked before anything is made.
Result<void> check_lab_options(const LabOptions& options);
Result<void> check_lab_name(const std::string& name);
// `--flanneld`: a file that can be run.
Result<void> check_program(const std::string& flanneld);
// Throws std::runtime_error: namespaces, and what a lab's daemons answer, are for root.
void require_root();

// All labs of this machine, by name.
std::vector<std::string> lab_names();

// What a pod reaches: average round trips in milliseconds, nothing where no answer came.
struct PingRow {
  std::vector<std::optional<double>> pods;
  std::optional<double> outside;
  // What the host outside takes it for, nothing where no packet arrived; and its node's address,
  // which it should be.
  std::optional<IpAddr> seen_as;
  IpAddr node;
};
using PingMatrix = std::vector<PingRow>;  // one a pod
std::string to_text(const PingMatrix& matrix);
// Every ping was answered, and the host outside sees nodes alone.
bool is_complete(const PingMatrix& matrix);
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

  // Makes it all, in a folder that is there, and waits until every node is ready, saying what it
  // does. Throws std::runtime_error, also where it is interrupted; what was made by then is still
  // there.
  void up(const LabOptions& options);
  // Removes everything the journal names; false where something is left, which it says.
  bool down();

  // Starts or ends node I's daemon; `flanneld`: another one than the lab's, such as the Go flannel.
  void start_node(unsigned node, const std::string& flanneld = "");
  void stop_node(unsigned node, bool kill);
  // Until a daemon that was started answers or, as the Go flannel never does, has lived for a
  // second. Throws std::runtime_error with the last line of its log where it ended.
  void wait_until_started(unsigned node) const;

  std::string leases() const;
  std::string status() const;
  std::vector<Family> families() const;
  PingMatrix ping(Family family) const;
  // Does to node 1 what happens to nodes, one thing after the other, and says how long each took to
  // heal. False where one did not.
  bool sabotage() const;

  // `n2`, `p2` or `out` -> its namespace. Error: there is no such node or pod.
  Result<std::string> namespace_of(const std::string& place) const;
  std::string node_socket(unsigned node) const;
  std::string log_file(unsigned node) const;
  // The addresses of nodes and pods in the form of /etc/hosts.
  std::string hosts_file() const { return directory_ + "/hosts"; }
  std::string config() const { return record_.setting("config"); }

 private:
  // The host outside is connected as a node by this number would be.
  static constexpr unsigned kOutside = 90;
  static_assert(kOutside > kMostLabNodes);

  std::string folder(unsigned node) const;
  std::string net() const { return name_ + "-net"; }
  std::string node(unsigned i) const { return fmt::format("{}-n{}", name_, i); }
  std::string pod(unsigned i) const { return fmt::format("{}-p{}", name_, i); }
  std::string outside() const { return name_ + "-out"; }
  void reread();
  void add_namespace(const std::string& name);
  bool is_routed() const { return !record_.setting("routed").empty(); }
  void make_underlay();
  // The first part of node I's underlay subnet: `198.18.0.`, `fd99::`.
  std::string underlay(unsigned i, Family family) const;
  IpAddr underlay_address(unsigned i, Family family) const;
  // Gives a new namespace node I's interface, addresses and default routes.
  void connect(const std::string& netns, const std::string& link, unsigned i);
  // Lines for `ip -batch`: node I's default routes.
  std::string default_routes(unsigned i) const;
  void make_node(unsigned i);
  void make_outside();
  void make_pod(unsigned i);
  void write_hosts() const;
  std::vector<std::string> status_row(unsigned i) const;
  void open_store(const LabOptions& options);
  std::string pod_address(unsigned i, Family family) const;
  // The source of a packet that pod I sends to the host outside.
  std::optional<IpAddr> seen_outside(unsigned i, Family family) const;
  bool heals(const Arguments& command) const;
  std::string start_etcd();
  std::string start_relay(const std::string& url);
  void write_etcd_config(const std::vector<std::string>& etcdctl);
  void start_program(const std::string& what, const Arguments& arguments, const std::string& netns);
  // True where node I's daemon answered with `summary`. Throws where it ended.
  bool answers_or_throw(unsigned i, const Result<StatusSummary>& summary) const;
  void wait_until_ready(unsigned i) const;
  // Until every IPv6 address of the namespaces can be used.
  void wait_for_addresses() const;

  std::string name_;
  std::string directory_;
  LabJournal journal_;
  LabRecord record_;
};

}  // namespace flannel
