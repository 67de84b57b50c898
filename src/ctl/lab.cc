#include "ctl/lab.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "backend/backend.h"
#include "base/counted.h"
#include "base/file.h"
#include "base/printable.h"
#include "ctl/columns.h"
#include "ctl/interrupt.h"
#include "ctl/lab_lock.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"
#include "network/network_config.h"

namespace flannel {

namespace {

constexpr std::chrono::seconds kReadyLimit{30};

void say(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

bool is_namespace(const std::string& name) {
  return std::filesystem::exists("/run/netns/" + name);
}

// What a lab runs, and where Debian has it.
struct Tool {
  std::string_view program, package;
};
constexpr Tool kTools[] = {
    {"ip", "iproute2"}, {"bridge", "iproute2"}, {"sysctl", "procps"}, {"ping", "iputils-ping"}};
constexpr Tool kIptables[] = {{"iptables", "iptables"}, {"ip6tables", "iptables"}};
constexpr Tool kNftables[] = {{"nft", "nftables"}};
constexpr Tool kEtcdTools[] = {{"etcd", "etcd-server"}, {"etcdctl", "etcd-client"}};

Result<void> check_tools(std::span<const Tool> tools) {
  for (const Tool& tool : tools) {
    if (!is_in_path(std::string(tool.program))) {
      return fail("{}: not in PATH (Debian package {})", tool.program, tool.package);
    }
  }
  return {};
}

Result<StatusSummary> summary_of(const std::string& socket) {
  const Result<Page> page = get_page(socket, "/status");
  return page ? summarize_status(page->body) : std::unexpected(page.error());
}

// The network configuration can be carried out, and there is something to see.
Result<void> check_network(const LabOptions& options) {
  const std::string config = network_config_text(options);
  const Result<NetworkConfig> network = parse_network_config(config);
  if (!network) {
    return fail("the network configuration {}: {}", printable(config), network.error().text);
  }
  if (const auto backend = make_backend(*network); !backend) {
    return fail("--backend {}: {}", printable(options.backend), backend.error().text);
  }
  if (network->backend_type == "alloc") {
    return fail("--backend alloc: it moves no packets, so there is nothing to show");
  }
  if (network->backend_type == "host-gw" && options.routed) {
    return fail("--backend host-gw --routed: host-gw needs all nodes on one link");
  }
  return {};
}

}  // namespace

std::string network_config_text(const LabOptions& options) {
  const std::string backend = options.backend.starts_with('{')
                                  ? options.backend
                                  : fmt::format(R"({{"Type":"{}"}})", options.backend);
  std::string out = "{";
  out += options.v4 ? fmt::format(R"("Network":"{}",)", options.network) : R"("EnableIPv4":false,)";
  out += options.v6 ? fmt::format(R"("EnableIPv6":true,"IPv6Network":"{}",)", options.ipv6_network)
                    : "";
  out += options.nftables ? R"("EnableNFTables":true,)" : "";
  return out + fmt::format(R"("Backend":{}}})", backend);
}

Result<void> check_lab_name(const std::string& name) {
  if (name.empty() || name.size() > 8 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos) {
    return fail("--name {}: one to eight small letters and digits", printable(name));
  }
  return {};
}

Result<void> check_program(const std::string& flanneld) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(flanneld, error) || ::access(flanneld.c_str(), X_OK) != 0) {
    return fail("--flanneld {}: no program", printable(flanneld));
  }
  return {};
}

void require_root() {
  if (::geteuid() != 0) {
    throw std::runtime_error("permission denied: a lab is made of network namespaces: run as root");
  }
}

Result<void> check_lab_options(const LabOptions& options) {
  if (options.nodes < 1 || options.nodes > kMostLabNodes) {
    return fail("--nodes {}: 1 to {}", options.nodes, kMostLabNodes);
  }
  if (options.store != "local" && options.store != "etcd" &&
      !options.store.starts_with("etcd=http://")) {
    return fail("--store {}: local, etcd, or etcd=http://HOST:PORT", printable(options.store));
  }
  const std::span<const Tool> etcd(kEtcdTools);
  for (const Result<void>& part :
       {check_lab_name(options.name), check_network(options), check_program(options.flanneld),
        check_tools(kTools), options.nftables ? check_tools(kNftables) : check_tools(kIptables),
        check_tools(options.store == "local"  ? etcd.first(0)
                    : options.store == "etcd" ? etcd
                                              : etcd.last(1))}) {
    if (!part) {
      return part;
    }
  }
  return {};
}

std::vector<std::string> lab_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(lab_directory(""), error)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Lab::Lab(const std::string& name)
    : name_(name), directory_(lab_directory(name)), journal_(directory_ + "/journal") {
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
  return !record_.settings.empty();
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
  if (place == "out") {
    return outside();
  }
  return fail("{}: no node (n1 to n{}), pod (p1 to p{}) or `out` of lab {}", printable(place),
              nodes(), nodes(), name_);
}

void Lab::start_program(const std::string& what, const Arguments& arguments,
                        const std::string& netns) {
  start_detached(arguments, netns, directory_ + "/" + what + ".log",
                 [&](const ProcessId& process) { journal_.add_process(what, process); });
  reread();
}

void Lab::start_node(unsigned i, const std::string& flanneld) {
  const std::string name = fmt::format("n{}", i);
  const auto running = record_.processes.find(name);
  if (running != record_.processes.end() && is_alive(running->second)) {
    throw std::runtime_error(
        fmt::format("the flanneld of {} runs already, pid {}", name, running->second.pid));
  }
  const std::string program = flanneld.empty() ? record_.setting("flanneld") : flanneld;
  std::ofstream(log_file(i), std::ios::app) << "flannelctl starts " << program << "\n";
  start_program(name,
                {"env", fmt::format("FLANNELD_STATE_DIR={}/state", folder(i)), program,
                 record_.setting("store"), fmt::format("--subnet-file={}/subnet.env", folder(i)),
                 "--iface=eth0", "--ip-masq", fmt::format("--etcd-prefix=/flannel-lab/{}", name_)},
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

std::string Lab::log_file(unsigned i) const {
  return fmt::format("{}/n{}.log", directory_, i);
}

bool Lab::answers_or_throw(unsigned i, const Result<StatusSummary>& summary) const {
  check_interrupted();
  if (!is_alive(record_.processes.at(fmt::format("n{}", i)))) {
    throw std::runtime_error(
        fmt::format("the flanneld of n{} ended: {}", i,
                    printable(last_line(read_file(log_file(i)).value_or("")))));
  }
  return summary.has_value();
}

void Lab::wait_until_started(unsigned i) const {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (!answers_or_throw(i, summary_of(node_socket(i))) &&
         std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void Lab::wait_until_ready(unsigned i) const {
  const auto limit = std::chrono::steady_clock::now() + kReadyLimit;
  for (;;) {
    const Result<StatusSummary> summary = summary_of(node_socket(i));
    if (answers_or_throw(i, summary) && summary->has_converged &&
        summary->good_peers == nodes() - 1) {
      return;
    }
    if (std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error(fmt::format("n{} is not ready after {} s: {}", i,
                                           kReadyLimit.count(),
                                           summary ? summary->trouble : summary.error().text));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void Lab::up(const LabOptions& options) {
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"nodes", fmt::format("{}", options.nodes)},
           {"config", network_config_text(options)},
           {"families", options.v4 && options.v6 ? "v4 v6"
                        : options.v4             ? "v4"
                                                 : "v6"},
           {"routed", options.routed ? "yes" : ""},
           {"firewall", options.nftables ? "nftables" : "iptables"},
           {"flanneld", std::filesystem::absolute(options.flanneld)}}) {
    journal_.add_setting(name, value);
  }
  say(fmt::format(
      "Making the underlay, {} and a host outside as network namespaces {}-n1{} and {}-out",
      counted(options.nodes, "node"), name_,
      options.nodes == 1 ? "" : fmt::format(" … {}-n{}", name_, options.nodes), name_));
  reread();
  make_underlay();
  for (unsigned i = 1; i <= options.nodes; ++i) {
    make_node(i);
  }
  make_outside();
  say(fmt::format("Writing the network configuration to the lease store ({}):\n  {}", options.store,
                  network_config_text(options)));
  open_store(options);
  reread();
  say("Starting a flanneld on each node");
  for (unsigned i = 1; i <= options.nodes; ++i) {
    check_interrupted();
    start_node(i);
  }
  for (unsigned i = 1; i <= options.nodes; ++i) {
    wait_until_ready(i);
  }
  say("Making a pod on each node");
  for (unsigned i = 1; i <= options.nodes; ++i) {
    make_pod(i);
  }
  reread();
  write_hosts();
  wait_for_addresses();
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
  say(fmt::format("Removed lab {}: {} ended, {} deleted{}", name_, counted(ended, "daemon"),
                  counted(removed, "network namespace"), clean ? ", nothing is left" : ""));
  return clean;
}

}  // namespace flannel
