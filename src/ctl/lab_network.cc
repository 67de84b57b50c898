// A lab's namespaces and links: the underlay, the nodes, their pods.

#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "ctl/interrupt.h"
#include "ctl/lab.h"
#include "network/subnet_env.h"

namespace flannel {
namespace {

constexpr std::chrono::seconds kAddressesWithin{30};

// `ip -n NAMESPACE -batch -`
void configure(const std::string& netns, const std::string& lines) {
  run_program({"ip", "-n", netns, "-batch", "-"}, lines);
}

void set_sysctl(const std::string& netns, const std::string& setting) {
  run_program({"ip", "netns", "exec", netns, "sysctl", "-qw", setting});
}

void forward_packets(const std::string& netns) {
  set_sysctl(netns, "net.ipv4.ip_forward=1");
  set_sysctl(netns, "net.ipv6.conf.all.forwarding=1");
}

std::string value_in(const std::string& env, const std::string& name) {
  const std::size_t at = env.find(name + "=");
  const std::size_t start = at + name.size() + 1;
  return at == std::string::npos ? "" : env.substr(start, env.find('\n', start) - start);
}

// The kernel takes IPv6 addresses into use behind our back: each has a route to itself then.
bool has_addresses_in_use(const std::string& netns) {
  const std::string shown = run_program({"ip", "-n", netns, "-6", "-o", "-batch", "-"},
                                        "addr show scope global\n"
                                        "route show table local type local\n");
  std::istringstream lines(shown);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kBefore = " inet6 ";
    const std::size_t at = line.find(kBefore);
    const std::size_t start = at + kBefore.size();
    if (at != std::string::npos &&
        shown.find("local " + line.substr(start, line.find('/', start) - start) + " dev ") ==
            std::string::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Lab::add_namespace(const std::string& name) {
  check_interrupted();
  if (std::filesystem::exists("/run/netns/" + name)) {
    throw std::runtime_error(
        fmt::format("network namespace {} is there already and not this lab's", name));
  }
  journal_.add_namespace(name);
  run_program({"ip", "netns", "add", name});
  // All addresses are our choice: nobody need wait a second to see whether another has them.
  set_sysctl(name, "net.ipv6.conf.default.accept_dad=0");
  configure(name, "link set lo up\n");
}

void Lab::make_underlay() {
  add_namespace(net());
  const unsigned length = is_routed() ? 24 : 16;
  configure(net(), fmt::format("link add br0 type bridge\n"
                               "addr add 198.18.0.1/{} dev br0\n"
                               "addr add fd99::1/64 dev br0 nodad\n"
                               "link set br0 up\n",
                               length));
  forward_packets(net());
}

std::string Lab::underlay(unsigned i, Family family) const {
  if (!is_routed()) {
    return family == Family::v4 ? "198.18.0." : "fd99::";
  }
  return family == Family::v4 ? fmt::format("198.18.{}.", i) : fmt::format("fd99:0:0:{}::", i);
}

std::string Lab::default_routes(unsigned i) const {
  return fmt::format("route add default via {}1\nroute add default via {}1 dev eth0\n",
                     underlay(i, Family::v4), underlay(i, Family::v6));
}

IpAddr Lab::underlay_address(unsigned i, Family family) const {
  return *IpAddr::parse(fmt::format("{}{}", underlay(i, family), 10 + i));
}

void Lab::connect(const std::string& netns, const std::string& link, unsigned i) {
  const std::string v4 = underlay(i, Family::v4), v6 = underlay(i, Family::v6);
  configure(net(), fmt::format("link add {} type veth peer name eth0 netns {}\n", link, netns));
  configure(net(), is_routed() ? fmt::format("addr add {1}1/24 dev {0}\n"
                                             "addr add {2}1/64 dev {0} nodad\n"
                                             "link set {0} up\n",
                                             link, v4, v6)
                               : fmt::format("link set {} master br0 up\n", link));
  configure(netns, fmt::format("addr add {}/{} dev eth0\n"
                               "addr add {}/64 dev eth0 nodad\n"
                               "link set eth0 up\n",
                               underlay_address(i, Family::v4).to_text(), is_routed() ? 24 : 16,
                               underlay_address(i, Family::v6).to_text()) +
                       default_routes(i));
}

void Lab::make_node(unsigned i) {
  add_namespace(node(i));
  connect(node(i), fmt::format("n{}", i), i);
  // As network daemons do it, an interface that was down has its addresses again.
  set_sysctl(node(i), "net.ipv6.conf.eth0.keep_addr_on_down=1");
  forward_packets(node(i));
  std::filesystem::create_directories(folder(i));
}

void Lab::make_outside() {
  add_namespace(outside());
  connect(outside(), "out", kOutside);
}

// A pod's address is the second of the subnet, the node's side has the first, as a CNI bridge
// would.
void Lab::make_pod(unsigned i) {
  const std::string env = read_file(folder(i) + "/subnet.env").value_or("");
  const SubnetEnv subnets = parse_subnet_env(env);
  add_namespace(pod(i));
  const std::string mtu = value_in(env, "FLANNEL_MTU");
  configure(node(i), fmt::format("link add pod type veth peer name eth0 netns {}\n", pod(i)));
  for (const std::string& side : {node(i), pod(i)}) {
    configure(side, fmt::format("link set {} mtu {} up\n", side == pod(i) ? "eth0" : "pod", mtu));
  }
  for (const Family family : families()) {
    const std::optional<Prefix>& gateway =
        family == Family::v4 ? subnets.subnet : subnets.ipv6_subnet;
    if (!gateway) {
      throw std::runtime_error(fmt::format("node {} lacks a subnet in its subnet.env", i));
    }
    const Prefix own{IpAddr::from_number(family, gateway->ip.number() + 1), gateway->length};
    const char* nodad = family == Family::v4 ? "" : " nodad";
    configure(node(i), fmt::format("addr add {} dev pod{}\n", gateway->to_text(), nodad));
    configure(pod(i), fmt::format("addr add {} dev eth0{}\nroute add default via {}\n",
                                  own.to_text(), nodad, gateway->ip.to_text()));
    journal_.add_setting(fmt::format("pod{}{}", i, family == Family::v4 ? "" : "v6"),
                         own.ip.to_text());
  }
}

void Lab::write_hosts() const {
  std::string text = "127.0.0.1 localhost\n::1 localhost\n";
  for (unsigned i = 1; i <= nodes(); ++i) {
    for (const Family family : kFamilies) {
      text += fmt::format("{} n{}\n", underlay_address(i, family).to_text(), i);
    }
    for (const Family family : families()) {
      text += fmt::format("{} p{}\n", pod_address(i, family), i);
    }
  }
  for (const Family family : kFamilies) {
    text += fmt::format("{} out\n", underlay_address(kOutside, family).to_text());
  }
  if (const Result<void> written = replace_file(hosts_file(), text, 0644); !written) {
    throw std::runtime_error(written.error().text);
  }
}

void Lab::wait_for_addresses() const {
  const auto limit = std::chrono::steady_clock::now() + kAddressesWithin;
  for (const std::string& netns : record_.namespaces) {
    while (!has_addresses_in_use(netns)) {
      check_interrupted();
      if (std::chrono::steady_clock::now() > limit) {
        throw std::runtime_error(
            fmt::format("the kernel does not take the addresses of {} into use", netns));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

}  // namespace flannel
