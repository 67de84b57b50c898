#include "ctl/lab_commands.h"

#include <fmt/core.h>
#include <sys/mount.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/printable.h"
#include "ctl/columns.h"
#include "ctl/interrupt.h"
#include "ctl/lab.h"
#include "ctl/lab_lock.h"
#include "ctl/node_commands.h"
#include "ctl/relay.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"

namespace flannel {
namespace {

int complain_of_lab(const std::string& text, int code = 1) {
  fmt::print(stderr, "flannelctl lab: {}\n", text);
  return code;
}

std::filesystem::path own_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

// For hints: ` --name x`, nothing for the default lab.
std::string name_option(const std::string& name) {
  return name == LabOptions().name ? "" : " --name " + name;
}

std::string name_of(const CommandLine& line) {
  return line.get("name", LabOptions().name);
}

Result<LabOptions> options_of(const CommandLine& line) {
  LabOptions options;
  options.name = name_of(line);
  options.backend = line.get("backend", options.backend);
  options.store = line.get("store", options.store);
  options.network = line.get("network", options.network);
  options.ipv6_network = line.get("ipv6-network", options.ipv6_network);
  options.v4 = !line.has("ipv6");
  options.v6 = line.has("ipv6") || line.has("dual-stack");
  options.routed = line.has("routed");
  options.nftables = line.has("nftables");
  options.flanneld = line.get("flanneld", (own_folder() / "flanneld").string());
  if (line.has("ipv6") && line.has("dual-stack")) {
    return fail("one of --ipv6 and --dual-stack");
  }
  const std::string nodes = line.get("nodes", "3");
  const auto [end, error] =
      std::from_chars(nodes.data(), nodes.data() + nodes.size(), options.nodes);
  if (error != std::errc() || end != nodes.data() + nodes.size()) {
    return fail("--nodes {}: not a number", printable(nodes));
  }
  return options;
}

int make(const LabOptions& options) {
  const LabLock lock(options.name);
  if (Lab old(options.name); old.exists()) {
    if (old.is_running()) {
      return complain_of_lab(fmt::format("lab {} is up; `flannelctl lab down{}` removes it",
                                         options.name, name_option(options.name)));
    }
    fmt::print("Lab {} was left behind by a crash; removing it\n", options.name);
    return old.down() ? make(options) : 1;  // anew, as the lock went too
  }
  Lab lab(options.name);
  try {
    lab.up(options);
  } catch (const std::exception& error) {
    complain_of_lab(error.what());
    fmt::print("Removing what was made\n");
    Lab(options.name).down();
    return is_interrupted() ? 130 : 1;
  }
  fmt::print(
      "Lab {0} is up: flannelctl lab status{1}, lab ping{1}, lab exec{1} p1 ping p{2}; "
      "lab down{1} removes it\n",
      options.name, name_option(options.name), options.nodes);
  return 0;
}

int remove(const std::string& name) {
  if (!std::filesystem::exists(lab_directory(name))) {
    fmt::print("There is no lab {}\n", name);
    return 0;
  }
  const LabLock lock(name);
  return Lab(name).down() ? 0 : 1;
}

// A lab that is there, for everything but up and down.
Lab existing(const CommandLine& line) {
  require_root();
  const std::string name = name_of(line);
  if (const Result<void> good = check_lab_name(name); !good) {
    throw std::runtime_error(good.error().text);
  }
  Lab lab(name);
  if (!lab.exists()) {
    throw std::runtime_error(fmt::format("there is no lab {}; `flannelctl lab up{}` makes one",
                                         name, name_option(name)));
  }
  return lab;
}

int print_pings(const Lab& lab) {
  bool all = true;
  for (const Family family : lab.families()) {
    const PingMatrix matrix = lab.ping(family);
    fmt::print("{}{}", lab.families().size() == 1 ? "" : fmt::format("{}\n", to_text(family)),
               to_text(matrix));
    all = all && is_complete(matrix);
  }
  return all ? 0 : 1;
}

// Everything that a lab shows. False where something is not as it should be.
bool show(const Lab& lab) {
  fmt::print("\n== The leases: each node has a subnet\n{}", lab.leases());
  fmt::print(
      "\n== Every pod pings every pod and a host outside, which sees its node (average round "
      "trip)\n");
  const bool reached = print_pings(lab) == 0;
  check_interrupted();
  fmt::print("\n== flannelctl status on node n1\n");
  const Result<Page> page = get_page(lab.node_socket(1), "/status");
  const Result<std::string> text =
      page ? status_page(page->body, 50) : std::unexpected(page.error());
  fmt::print(
      "{}\n== What happens to nodes, done to n1; how long from the command's end until all is as "
      "it should be\n",
      text ? *text : text.error().text + "\n");
  return lab.sabotage() && reached && text;
}

// The lab's hosts file in place of the machine's, for this process and what it becomes.
void know_by_name(const std::string& hosts) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount(hosts.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0) {
    complain_of_lab("nodes and pods have no names here: " + std::string(::strerror(errno)));
  }
}

// n2 -> 2
Result<unsigned> node_number(const Lab& lab, const std::string& word) {
  if (!word.starts_with('n') || !lab.namespace_of(word)) {
    return fail("{}: no node (n1 to n{})", printable(word), lab.nodes());
  }
  return static_cast<unsigned>(std::stoul(word.substr(1)));
}

}  // namespace

int lab_up(const CommandLine& line) {
  const Result<LabOptions> options = options_of(line);
  if (!options) {
    return complain_of_lab(options.error().text, 2);
  }
  require_root();
  if (const Result<void> good = check_lab_options(*options); !good) {
    return complain_of_lab(good.error().text, 2);
  }
  catch_interrupts();
  return make(*options);
}

int lab_down(const CommandLine& line) {
  require_root();
  if (const Result<void> good = check_lab_name(name_of(line)); !good) {
    return complain_of_lab(good.error().text, 2);
  }
  catch_interrupts();
  return remove(name_of(line));
}

int lab_demo(const CommandLine& line) {
  if (const int code = lab_up(line); code != 0) {
    return code;
  }
  bool good = false;
  try {
    good = show(Lab(name_of(line)));
  } catch (const std::exception& error) {
    complain_of_lab(error.what());
  }
  fmt::print("\n== Cleaning up\n");
  const bool clean = remove(name_of(line)) == 0;
  return is_interrupted() ? 130 : good && clean ? 0 : 1;
}

int lab_list(const CommandLine&) {
  std::vector<std::vector<std::string>> rows{{"lab", "nodes", "state", "made with"}};
  for (const std::string& name : lab_names()) {
    const Lab lab(name);
    rows.push_back({name, fmt::format("{}", lab.nodes()), lab.is_running() ? "up" : "left behind",
                    printable(lab.config())});
  }
  fmt::print("{}", rows.size() == 1 ? "There is no lab\n" : in_columns(rows));
  return 0;
}

int lab_status(const CommandLine& line) {
  fmt::print("{}", existing(line).status());
  return 0;
}

int lab_leases(const CommandLine& line) {
  fmt::print("{}", existing(line).leases());
  return 0;
}

int lab_ping(const CommandLine& line) {
  const Lab lab = existing(line);
  catch_interrupts();
  return print_pings(lab);
}

int lab_break(const CommandLine& line) {
  const Lab lab = existing(line);
  catch_interrupts();
  return lab.sabotage() ? 0 : 1;
}

int lab_exec(const CommandLine& line) {
  const Lab lab = existing(line);
  const std::string& place = line.words[0];
  const Result<std::string> netns = lab.namespace_of(place);
  if (!netns) {
    return complain_of_lab(netns.error().text, 2);
  }
  const char* path = std::getenv("PATH");
  ::setenv("PATH", fmt::format("{}:{}", own_folder().string(), path == nullptr ? "" : path).c_str(),
           1);
  if (const Result<unsigned> node = node_number(lab, place)) {
    ::setenv(kSocketVariable, lab.node_socket(*node).c_str(), 1);
  }
  know_by_name(lab.hosts_file());
  std::vector<std::string> words{"ip", "netns", "exec", *netns};
  words.insert(words.end(), line.words.begin() + 1, line.words.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  return complain_of_lab("ip: not in PATH (Debian package iproute2)", 127);
}

int lab_logs(const CommandLine& line) {
  const Lab lab = existing(line);
  const Result<unsigned> node = node_number(lab, line.words[0]);
  if (!node) {
    return complain_of_lab(node.error().text, 2);
  }
  const Result<std::string> log = read_file(lab.log_file(*node));
  if (!log) {
    return complain_of_lab(log.error().text);
  }
  std::istringstream lines(*log);
  for (std::string text; std::getline(lines, text);) {
    fmt::print("{}\n", printable(text, SIZE_MAX));
  }
  return 0;
}

int lab_start(const CommandLine& line) {
  Lab lab = existing(line);
  const Result<unsigned> node = node_number(lab, line.words[0]);
  const std::string flanneld = line.get("flanneld", "");
  const Result<void> program = flanneld.empty() ? Result<void>() : check_program(flanneld);
  if (!node || !program) {
    return complain_of_lab(node ? program.error().text : node.error().text, 2);
  }
  catch_interrupts();
  const LabLock lock(name_of(line));
  lab.start_node(*node, flanneld);
  lab.wait_until_started(*node);
  return 0;
}

int lab_stop(const CommandLine& line) {
  Lab lab = existing(line);
  const Result<unsigned> node = node_number(lab, line.words[0]);
  if (!node) {
    return complain_of_lab(node.error().text, 2);
  }
  lab.stop_node(*node, line.has("kill"));
  return 0;
}

int lab_relay(const CommandLine& line) {
  const Result<void> relay = run_relay(line.words[0], line.words[1]);
  return relay ? 0 : complain_of_lab(relay.error().text);
}

}  // namespace flannel
