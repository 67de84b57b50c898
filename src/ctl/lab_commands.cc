#include "ctl/lab_commands.h"

#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "ctl/command_line.h"
#include "ctl/lab.h"
#include "ctl/lab_lock.h"
#include "ctl/relay.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"

namespace flannel {
namespace {

int complain(const std::string& text, int code = 1) {
  fmt::print(stderr, "flannelctl lab: {}\n", text);
  return code;
}

// While a lab is made, Ctrl-C ends the making, and what was made is removed.
void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = true; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

Result<LabWish> wish_of(const CommandLine& line) {
  LabWish wish;
  wish.name = line.get("name", wish.name);
  wish.backend = line.get("backend", wish.backend);
  wish.store = line.get("store", wish.store);
  wish.network = line.get("network", wish.network);
  wish.ipv6_network = line.get("ipv6-network", wish.ipv6_network);
  wish.v4 = !line.has("ipv6");
  wish.v6 = line.has("ipv6") || line.has("dual-stack");
  wish.routed = line.has("routed");
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  wish.flanneld = line.get("flanneld", (self.parent_path() / "flanneld").string());
  const std::string nodes = line.get("nodes", "3");
  const auto [end, error] = std::from_chars(nodes.data(), nodes.data() + nodes.size(), wish.nodes);
  if (error != std::errc() || end != nodes.data() + nodes.size()) {
    return fail("--nodes {}: not a number", nodes);
  }
  return wish;
}

int up(const CommandLine& line) {
  const Result<LabWish> wish = wish_of(line);
  if (!wish) {
    return complain(wish.error().text, 2);
  }
  if (const Result<void> good = check_wish(*wish); !good) {
    return complain(good.error().text, 2);
  }
  catch_interrupts();
  const LabLock lock(wish->name);
  if (Lab old(wish->name); old.exists()) {
    if (old.is_running()) {
      return complain(fmt::format("lab {} is up; `flannelctl lab down` removes it", wish->name));
    }
    fmt::print("Lab {} was left behind by a crash; removing it\n", wish->name);
    return old.down() ? up(line) : 1;  // anew, as the lock went too
  }
  Lab lab(wish->name);
  try {
    lab.up(*wish);
  } catch (const std::exception& error) {
    complain(error.what());
    fmt::print("Removing what was made\n");
    Lab(wish->name).down();
    return interrupted ? 130 : 1;
  }
  fmt::print("Lab {} is up: flannelctl lab ping, status, leases, exec, down\n", wish->name);
  return 0;
}

int down(const CommandLine& line) {
  const std::string name = line.get("name", LabWish().name);
  if (!std::filesystem::exists(lab_directory(name))) {
    fmt::print("There is no lab {}\n", name);
    return 0;
  }
  const LabLock lock(name);
  return Lab(name).down() ? 0 : 1;
}

int ping(const Lab& lab) {
  bool all = true;
  for (const Family family : lab.families()) {
    const PingMatrix matrix = lab.ping(family);
    fmt::print("{}{}",
               lab.families().size() == 1 ? ""
               : family == Family::v4     ? "IPv4\n"
                                          : "IPv6\n",
               to_text(matrix));
    all = all && is_complete(matrix);
  }
  return all ? 0 : 1;
}

int exec(const Lab& lab, const CommandLine& line) {
  if (line.words.size() < 3) {
    return complain("exec needs a node or pod, and a command: lab exec p1 ping 10.5.2.2", 2);
  }
  const Result<std::string> netns = lab.namespace_of(line.words[1]);
  if (!netns) {
    return complain(netns.error().text, 2);
  }
  std::vector<std::string> words{"ip", "netns", "exec", *netns};
  words.insert(words.end(), line.words.begin() + 2, line.words.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  return complain("ip cannot be run", 127);
}

// `lab start n2`, `lab stop n2 [--kill]`
int start_or_stop(Lab& lab, const CommandLine& line) {
  if (line.words.size() != 2 || !lab.namespace_of(line.words[1]) || line.words[1][0] != 'n') {
    return complain(fmt::format("{} needs a node: n1 to n{}", line.words[0], lab.nodes()), 2);
  }
  const unsigned node = static_cast<unsigned>(std::stoul(line.words[1].substr(1)));
  if (line.words[0] == "start") {
    lab.start_node(node, line.get("flanneld", ""));
  } else {
    lab.stop_node(node, line.has("kill"));
  }
  return 0;
}

int demo(const CommandLine& line) {
  int code = up(line);
  if (code != 0) {
    return code;
  }
  const Lab lab(line.get("name", LabWish().name));
  fmt::print("\n== The leases: each node has a subnet\n{}", lab.leases());
  fmt::print("\n== Every pod pings every pod (average round trip)\n");
  code = ping(lab);
  fmt::print("\n== flannelctl status on node n1\n");
  const Result<Page> page = get_page(lab.node_socket(1), "/status");
  const Result<std::string> text =
      page ? status_page(page->body, 50) : std::unexpected(page.error());
  fmt::print(
      "{}\n== What happens to nodes, done to n1; how long from the command's end until all is as "
      "it should be\n",
      text ? *text : text.error().text + "\n");
  const bool healed = lab.sabotage();
  fmt::print("\n== Cleaning up\n");
  const bool clean = down(line) == 0;
  return code == 0 && text && healed && clean ? 0 : 1;
}

int run_in_lab(const std::string& verb, const CommandLine& line) {
  Lab lab(line.get("name", LabWish().name));
  if (!lab.exists()) {
    return complain(fmt::format("there is no lab {}; `flannelctl lab up` makes one",
                                line.get("name", LabWish().name)));
  }
  if (verb == "ping") {
    return ping(lab);
  }
  if (verb == "break") {
    return lab.sabotage() ? 0 : 1;
  }
  if (verb == "exec") {
    return exec(lab, line);
  }
  if (verb == "start" || verb == "stop") {
    return start_or_stop(lab, line);
  }
  fmt::print("{}", verb == "leases" ? lab.leases() : lab.status());
  return 0;
}

}  // namespace

std::string lab_usage() {
  return "  lab up [OPTIONS]      make nodes and pods as network namespaces, with real daemons\n"
         "      --nodes N         1 to 20, 3 by default\n"
         "      --backend B       a type (vxlan), or the Backend object of net-conf.json\n"
         "      --dual-stack      IPv4 and IPv6;  --ipv6: IPv6 alone\n"
         "      --network CIDR    10.5.0.0/16;  --ipv6-network CIDR: fc00:5::/48\n"
         "      --routed          each node on a subnet of its own, a router between them\n"
         "      --store S         local, etcd (one of its own), or etcd=URL\n"
         "  lab status            daemons and pods\n"
         "  lab leases            the nodes' subnets\n"
         "  lab ping              every pod pings every pod\n"
         "  lab break             do to n1 what happens to nodes, and see it heal\n"
         "  lab exec nI|pI CMD…   run a command on node or pod I\n"
         "  lab stop nI [--kill]  end node I's daemon;  lab start nI [--flanneld PATH] starts one\n"
         "  lab down              remove everything\n"
         "  lab demo              all of it once\n"
         "                        (all with --name NAME, for several labs)\n";
}

int run_lab(std::span<const std::string> arguments) {
  CommandSyntax syntax{
      .with_value = {"name", "nodes", "backend", "store", "network", "ipv6-network", "flanneld"},
      .without_value = {"kill", "dual-stack", "ipv6", "routed"}};
  const bool is_exec = std::find(arguments.begin(), arguments.end(), "exec") != arguments.end();
  syntax.words_before_rest = is_exec ? 2 : SIZE_MAX;
  const Result<CommandLine> line = parse_command_line(arguments, syntax);
  if (!line || line->words.empty()) {
    return complain((line ? "what shall it do?" : line.error().text) + "\n" + lab_usage(), 2);
  }
  const std::string& verb = line->words[0];
  try {
    if (verb == "up") {
      return up(*line);
    }
    if (verb == "down") {
      return down(*line);
    }
    if (verb == "demo") {
      return demo(*line);
    }
    if (verb == "relay" && line->words.size() == 3) {
      const Result<void> relay = run_relay(line->words[1], line->words[2]);
      return relay ? 0 : complain(relay.error().text);
    }
    for (const char* known : {"status", "leases", "ping", "break", "exec", "start", "stop"}) {
      if (verb == known) {
        return run_in_lab(verb, *line);
      }
    }
  } catch (const std::exception& error) {
    return complain(error.what());
  }
  return complain(fmt::format("unknown command {}\n{}", verb, lab_usage()), 2);
}

}  // namespace flannel
