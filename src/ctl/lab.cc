#include "ctl/lab.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"
#include "network/network_config.h"
#include "network/subnet_env.h"

namespace flannel {

volatile bool interrupted = false;

namespace {

constexpr std::chrono::seconds kReadyLimit{30};

void say(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void check_interrupted() {
  if (interrupted) {
    throw std::runtime_error("interrupted");
  }
}

bool is_namespace(const std::string& name) {
  return std::filesystem::exists("/run/netns/" + name);
}

// `ip -n NAMESPACE -batch -`
void configure(const std::string& netns, const std::string& lines) {
  run_program({"ip", "-n", netns, "-batch", "-"}, lines);
}

bool is_ready_with_all_peers(const std::string& socket, unsigned peers) {
  const Result<Page> page = get_page(socket, "/status");
  const Result<StatusSummary> summary =
      page ? summarize_status(page->body) : std::unexpected(page.error());
  return summary && summary->ready && summary->good_peers == peers;
}

}  // namespace

Result<void> check_wish(const LabWish& wish) {
  if (wish.nodes < 1 || wish.nodes > kMostLabNodes) {
    return fail("--nodes {}: 1 to {}", wish.nodes, kMostLabNodes);
  }
  if (wish.name.empty() || wish.name.size() > 8 ||
      wish.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos) {
    return fail("--name {}: one to eight small letters and digits", wish.name);
  }
  if (wish.store != "local" && wish.store != "etcd" && !wish.store.starts_with("etcd=http://")) {
    return fail("--store {}: local, etcd, or etcd=http://HOST:PORT", wish.store);
  }
  const std::string config = fmt::format(R"({{"Network":"{}"}})", wish.network);
  if (const Result<NetworkConfig> network = parse_network_config(config); !network) {
    return fail("--network {}: {}", wish.network, network.error().text);
  }
  if (::access(wish.flanneld.c_str(), X_OK) != 0) {
    return fail("--flanneld {}: no program", wish.flanneld);
  }
  if (::geteuid() != 0) {
    return fail("a lab is made of network namespaces: run as root");
  }
  return {};
}

Lab::Lab(const std::string& name)
    : name_(name), directory_("/run/flannel-lab/" + name), journal_(directory_ + "/journal") {
  reread();
}

void Lab::reread() {
  const Result<LabRecord> record = journal_.read();
  if (!record) {
    throw std::runtime_error(record.error().text);
  }
  record_ = *record;
}

bool Lab::exists() const {
  return std::filesystem::exists(directory_);
}

bool Lab::is_running() const {
  return std::any_of(record_.processes.begin(), record_.processes.end(),
                     [](const auto& entry) { return is_alive(entry.second); });
}

unsigned Lab::nodes() const {
  return static_cast<unsigned>(std::strtoul(record_.setting("nodes").c_str(), nullptr, 10));
}

std::string Lab::folder(unsigned i) const {
  return fmt::format("{}/n{}", directory_, i);
}

std::string Lab::node_socket(unsigned i) const {
  return folder(i) + "/flanneld.sock";
}

Result<std::string> Lab::namespace_of(const std::string& place) const {
  for (unsigned i = 1; i <= nodes(); ++i) {
    if (place == fmt::format("n{}", i)) {
      return node(i);
    }
    if (place == fmt::format("p{}", i)) {
      return pod(i);
    }
  }
  return fail("{}: no node (n1 to n{}) and no pod (p1 to p{}) of lab {}", place, nodes(), nodes(),
              name_);
}

void Lab::add_namespace(const std::string& name) {
  check_interrupted();
  if (is_namespace(name)) {
    throw std::runtime_error(
        fmt::format("network namespace {} is there already and not this lab's", name));
  }
  journal_.add_namespace(name);
  run_program({"ip", "netns", "add", name});
  configure(name, "link set lo up\n");
}

void Lab::make_underlay() {
  add_namespace(net());
  configure(net(),
            "link add br0 type bridge\n"
            "addr add 198.18.0.1/16 dev br0\n"
            "link set br0 up\n");
}

void Lab::make_node(unsigned i) {
  add_namespace(node(i));
  configure(net(), fmt::format("link add n{0} type veth peer name eth0 netns {1}\n"
                               "link set n{0} master br0 up\n",
                               i, node(i)));
  configure(node(i), fmt::format("addr add 198.18.0.{}/16 dev eth0\n"
                                 "link set eth0 up\n"
                                 "route add default via 198.18.0.1\n",
                                 10 + i));
  run_program({"ip", "netns", "exec", node(i), "sysctl", "-qw", "net.ipv4.ip_forward=1"});
  std::filesystem::create_directories(folder(i));
}

// The pod's address is the second of the subnet, the node's side has the first, as a CNI bridge
// would.
void Lab::make_pod(unsigned i) {
  const Result<std::string> text = read_file(folder(i) + "/subnet.env");
  const std::optional<Prefix> gateway = parse_subnet_env(text.value_or("")).subnet;
  if (!gateway) {
    throw std::runtime_error(fmt::format("node {} has no subnet in its subnet.env", i));
  }
  const std::size_t at = text->find("FLANNEL_MTU=") + 12;
  const std::string mtu = text->substr(at, text->find('\n', at) - at);
  const Prefix own{IpAddr::from_number(Family::v4, gateway->ip.number() + 1), gateway->length};
  add_namespace(pod(i));
  configure(node(i), fmt::format("link add pod type veth peer name eth0 netns {}\n"
                                 "addr add {} dev pod\n"
                                 "link set pod mtu {} up\n",
                                 pod(i), gateway->to_text(), mtu));
  configure(pod(i), fmt::format("addr add {} dev eth0\n"
                                "link set eth0 mtu {} up\n"
                                "route add default via {}\n",
                                own.to_text(), mtu, gateway->ip.to_text()));
  journal_.add_setting(fmt::format("pod{}", i), own.ip.to_text());
}

void Lab::start_program(const std::string& what, const Arguments& arguments,
                        const std::string& netns) {
  start_detached(arguments, netns, directory_ + "/" + what + ".log",
                 [&](const ProcessId& process) { journal_.add_process(what, process); });
  reread();
}

void Lab::start_node(unsigned i) {
  const std::string name = fmt::format("n{}", i);
  const auto running = record_.processes.find(name);
  if (running != record_.processes.end() && is_alive(running->second)) {
    throw std::runtime_error(
        fmt::format("the flanneld of {} runs already, pid {}", name, running->second.pid));
  }
  start_program(name,
                {record_.setting("flanneld"), record_.setting("store"),
                 fmt::format("--subnet-file={}/subnet.env", folder(i)), "--iface=eth0",
                 fmt::format("--etcd-prefix=/flannel-lab/{}", name_)},
                node(i));
}

void Lab::stop_node(unsigned i, bool kill) {
  const auto running = record_.processes.find(fmt::format("n{}", i));
  if (running == record_.processes.end() || !is_alive(running->second)) {
    throw std::runtime_error(fmt::format("no flanneld runs on n{}", i));
  }
  if (!end_process(running->second, kill)) {
    throw std::runtime_error(fmt::format("process {} does not end", running->second.pid));
  }
}

void Lab::wait_until_ready(unsigned i) {
  const auto limit = std::chrono::steady_clock::now() + kReadyLimit;
  for (;;) {
    check_interrupted();
    if (is_ready_with_all_peers(node_socket(i), nodes() - 1)) {
      return;
    }
    const std::string log = fmt::format("{}/n{}.log", directory_, i);
    if (!is_alive(record_.processes.at(fmt::format("n{}", i)))) {
      throw std::runtime_error(
          fmt::format("the flanneld of n{} ended:\n{}", i, read_file(log).value_or("")));
    }
    if (std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error(fmt::format("n{} is not ready after {} s:\n{}", i,
                                           kReadyLimit.count(), read_file(log).value_or("")));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void Lab::up(const LabWish& wish) {
  std::filesystem::create_directories(directory_);
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"nodes", fmt::format("{}", wish.nodes)},
           {"backend", wish.backend},
           {"network", wish.network},
           {"flanneld", std::filesystem::absolute(wish.flanneld)}}) {
    journal_.add_setting(name, value);
  }
  say(fmt::format("Making the underlay and {} nodes as network namespaces {}-n1 … {}-n{}",
                  wish.nodes, name_, name_, wish.nodes));
  make_underlay();
  for (unsigned i = 1; i <= wish.nodes; ++i) {
    make_node(i);
  }
  say(fmt::format("Writing the network configuration {} ({}) to the lease store ({})", wish.network,
                  wish.backend, wish.store));
  open_store(wish);
  reread();
  say("Starting a flanneld on each node");
  for (unsigned i = 1; i <= wish.nodes; ++i) {
    check_interrupted();
    start_node(i);
  }
  for (unsigned i = 1; i <= wish.nodes; ++i) {
    wait_until_ready(i);
  }
  say("Making a pod on each node");
  for (unsigned i = 1; i <= wish.nodes; ++i) {
    make_pod(i);
  }
  reread();
}

bool Lab::down() {
  bool clean = true;
  const auto remains = [&clean](const std::string& text) {
    fmt::print(stderr, "{}\n", text);
    clean = false;
  };
  unsigned ended = 0;
  for (const auto& [name, process] : record_.processes) {
    if (name == "etcd") {
      continue;  // the daemons' store goes last
    }
    ended += is_alive(process) ? 1 : 0;
    if (!end_process(process)) {
      remains(fmt::format("process {} ({}) does not end", process.pid, name));
    }
  }
  const auto etcd = record_.processes.find("etcd");
  if (etcd != record_.processes.end() && !end_process(etcd->second)) {
    remains(fmt::format("process {} (etcd) does not end", etcd->second.pid));
  }
  unsigned removed = 0;
  for (auto name = record_.namespaces.rbegin(); name != record_.namespaces.rend(); ++name) {
    if (!is_namespace(*name)) {
      continue;
    }
    const ProgramResult result = RunningProgram({"ip", "netns", "delete", *name}).wait();
    removed += result.status == 0 ? 1 : 0;
    if (result.status != 0) {
      remains(fmt::format("network namespace {} is still there: {}", *name, result.output));
    }
  }
  if (clean) {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
    if (error) {
      remains(fmt::format("{}: {}", directory_, error.message()));
    }
    std::filesystem::remove(std::filesystem::path(directory_).parent_path(), error);
  }
  say(fmt::format("Removed lab {}: {} daemons ended, {} network namespaces deleted{}", name_, ended,
                  removed, clean ? ", nothing is left" : ""));
  return clean;
}

}  // namespace flannel
