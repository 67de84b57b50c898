// `lab break`: what happens to nodes, done to one of them on purpose.

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <thread>

#include "ctl/interrupt.h"
#include "ctl/lab.h"
#include "ctl/status_client.h"

namespace flannel {
namespace {

using Clock = std::chrono::steady_clock;

// The reference heals none of these in this time.
constexpr std::chrono::seconds kTimeout{15};

// Everything that can be wrong with our devices, and with what leaves by the underlay's. Each is
// the arguments of one program.
std::vector<Arguments> sabotage_list(const std::vector<std::string>& devices,
                                     const std::vector<Family>& families,
                                     const std::string& peer_subnet) {
  std::vector<Arguments> list;
  for (const std::string& dev : devices) {
    list.insert(list.end(), {{"ip", "link", "del", dev},
                             {"ip", "link", "set", dev, "down"},
                             {"ip", "link", "set", dev, "mtu", "1281"},
                             {"ip", "link", "set", dev, "address", "02:00:00:00:00:01"},
                             {"ip", "addr", "flush", "dev", dev, "scope", "global"},
                             {"ip", "neigh", "flush", "dev", dev, "nud", "permanent"},
                             {"bridge", "fdb", "flush", "dev", dev},
                             {"ip", "link", "set", dev, "name", "stolen"}});
  }
  list.insert(list.end(), {{"ip", "route", "del", peer_subnet},
                           {"ip", "route", "replace", "blackhole", peer_subnet},
                           {"ip", "link", "set", "eth0", "down"}});
  for (const Family family : families) {
    list.push_back({"ip", family == Family::v4 ? "-4" : "-6", "route", "flush", "proto", "70"});
  }
  return list;
}

// What happens to the rules of iptables and ip6tables: others flush, and put theirs in front.
std::vector<Arguments> iptables_sabotage(const std::vector<Family>& families) {
  std::vector<Arguments> list;
  for (const Family family : families) {
    const std::string program = family == Family::v4 ? "iptables" : "ip6tables";
    list.insert(list.end(), {{program, "-t", "nat", "-F", "FLANNEL-POSTRTG"},
                             {program, "-t", "nat", "-D", "FLANNEL-POSTRTG", "5"},
                             {program, "-t", "nat", "-I", "FLANNEL-POSTRTG", "-j", "MASQUERADE"},
                             {program, "-t", "nat", "-D", "POSTROUTING", "1"},
                             {program, "-t", "nat", "-F"},
                             {program, "-P", "FORWARD", "DROP"},
                             {program, "-F"},
                             {program, "-P", "FORWARD", "ACCEPT"}});
  }
  if (is_in_path("nft")) {
    list.push_back({"nft", "flush", "ruleset"});
  }
  return list;
}

std::vector<Arguments> nftables_sabotage(const std::vector<Family>& families) {
  std::vector<Arguments> list;
  for (const Family family : families) {
    const std::string ip = family == Family::v4 ? "ip" : "ip6";
    const std::string table = family == Family::v4 ? "flannel-ipv4" : "flannel-ipv6";
    list.insert(list.end(), {{"nft", "flush", "chain", ip, table, "postrtg"},
                             {"nft", "insert", "rule", ip, table, "postrtg", "masquerade"},
                             {"nft", "add", "chain", ip, table, "forward", "{ policy drop; }"},
                             {"nft", "flush", "table", ip, table},
                             {"nft", "delete", "table", ip, table}});
  }
  list.push_back({"nft", "flush", "ruleset"});
  return list;
}

// Kernels before 6.7 flush no FDB of a VXLAN device, those before 6.2 rename no device that is up:
// nothing is broken then.
bool is_beyond_this_kernel(const std::string& output) {
  return output.contains(std::strerror(EOPNOTSUPP)) || output.contains(std::strerror(EBUSY));
}

std::string text_of(const Arguments& command) {
  std::string text;
  for (const std::string& word : command) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

}  // namespace

bool Lab::heals(const Arguments& command) const {
  Arguments words{"ip", "netns", "exec", node(1)};
  words.insert(words.end(), command.begin(), command.end());
  const ProgramResult done = RunningProgram(words).wait();
  if (command.back() == "down" && command[3] == "eth0") {
    // What an administrator, or DHCP, does about the underlay is not ours to do.
    run_program({"ip", "-n", node(1), "-batch", "-"}, "link set eth0 up\n" + default_routes(1));
  }
  if (done.status != 0) {
    const bool excused = is_beyond_this_kernel(done.output);
    fmt::print("{:<58} {}: {}\n", text_of(command),
               excused ? "is beyond this kernel" : "could not be done", done.output);
    return excused;
  }
  const Clock::time_point start = Clock::now();
  Result<Page> plan = get_page(node_socket(1), "/plan");
  while ((!plan || !plan->body.empty()) && Clock::now() - start < kTimeout) {
    check_interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    plan = get_page(node_socket(1), "/plan");
  }
  const double took = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  bool reached = true;
  for (const Family family : families()) {
    reached = reached && is_complete(ping(family));
  }
  const bool healed = plan && plan->body.empty() && reached;
  fmt::print(
      "{:<58} {}\n", text_of(command),
      healed
          ? fmt::format("healed in {:5.0f} ms, every pod reaches all others and the outside", took)
          : fmt::format("NOT healed after {:.0f} ms{}\n{}", took,
                        reached ? "" : ", pods do not reach all they should",
                        plan ? plan->body : plan.error().text));
  std::fflush(stdout);
  return healed;
}

bool Lab::sabotage() const {
  const Result<Page> page = get_page(node_socket(1), "/status");
  boost::system::error_code error;
  const boost::json::value status =
      page ? boost::json::parse(page->body, error) : boost::json::value();
  std::vector<std::string> devices;
  if (const auto* list = status.find_pointer("/interface/devices", error)) {
    for (const boost::json::value& device : list->as_array()) {
      devices.emplace_back(device.as_string());
    }
  }
  const boost::json::value* peer = status.find_pointer("/peers/list/0/subnets/0", error);
  if (peer == nullptr) {
    throw std::runtime_error("n1 has no peers: nothing to break");
  }
  std::vector<Arguments> list = sabotage_list(devices, families(), std::string(peer->as_string()));
  std::ranges::copy(record_.setting("firewall") == "nftables" ? nftables_sabotage(families())
                                                              : iptables_sabotage(families()),
                    std::back_inserter(list));
  bool all = true;
  for (const Arguments& command : list) {
    check_interrupted();
    all = heals(command) && all;
  }
  return all;
}

}  // namespace flannel
