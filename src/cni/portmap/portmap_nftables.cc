#include "cni/portmap/portmap_nftables.h"

#include <algorithm>

#include "cni/firewall/nft_program.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

constexpr std::size_t kMostComment = 128;  // of the program's language

std::string comment_of(const std::string& container_id) {
  return nft_word(container_id, kMostComment);
}

// Go's plugin has the name as it is, however long.
bool is_of(std::string_view comment, const std::string& container_id) {
  return comment == container_id || comment == comment_of(container_id);
}

std::string table_of(Family family) {
  return family == Family::v4 ? "ip cni_hostport" : "ip6 cni_hostport";
}

// The chains that every container shares, with the rules that they have for themselves.
std::string shared_chains(const PortmapConfig& config, Family family) {
  const std::string table = table_of(family);
  std::string out = fmt::format("add table {} {{ comment \"CNI portmap plugin\" ; }}\n", table);
  for (const char* chain : {"hostports", "hostip_hostports", "hostports_all"}) {
    out += fmt::format("add chain {} {}\n", table, chain);
  }
  out += fmt::format(
      "flush chain {0} hostports_all\n"
      "add rule {0} hostports_all jump hostip_hostports\n"
      "add rule {0} hostports_all jump hostports\n",
      table);
  for (const char* hook : {"prerouting", "output"}) {
    const std::vector<std::string>& conditions = config.conditions(family);
    out += fmt::format(
        "add chain {0} {1} {{ type nat hook {1} priority -100 ; }}\n"
        "flush chain {0} {1}\n"
        "add rule {0} {1} {2}{3}fib daddr type local jump hostports_all\n",
        table, hook, fmt::join(conditions, " "), conditions.empty() ? "" : " ");
  }
  if (config.snat) {
    out += fmt::format("add chain {} masquerading {{ type nat hook postrouting priority 100 ; }}\n",
                       table);
  }
  return out;
}

void check_chain(const std::string& chain, const std::string& container_id, std::size_t wanted) {
  const std::size_t found =
      Nft::count(chain, [&](std::string_view comment) { return is_of(comment, container_id); });
  if (found < wanted) {
    throw_error(Code::internal, "missing hostport rules in \"{}\" chain: {} of {}", chain, found,
                wanted);
  }
}

// Of the container's rules in both families.
std::string removal(const std::string& container_id) {
  std::string commands;
  for (const Family family : kFamilies) {
    for (const char* name : {"hostports", "hostip_hostports", "masquerading"}) {
      commands += Nft::deletions(table_of(family) + " " + name, [&](std::string_view comment) {
        return is_of(comment, container_id);
      });
    }
  }
  return commands;
}

}  // namespace

std::string nft_ports(const PortmapConfig& config, Family family) {
  const std::string table = table_of(family);
  const char* ip = family == Family::v4 ? "ip" : "ip6";
  const std::string address = config.address(family)->ip.to_text();
  const std::string target = family == Family::v4 ? address : "[" + address + "]";
  std::string out = shared_chains(config, family);
  for (const PortMapping& mapping : config.mappings) {
    if (!PortmapConfig::applies(mapping, family)) {
      continue;
    }
    const std::string to = mapping.host_ip && !mapping.host_ip->is_unspecified()
                               ? fmt::format("{} daddr {} ", ip, mapping.host_ip->to_text())
                               : "";
    out += fmt::format("add rule {} hostports {}{} dport {} dnat to {}:{} comment \"{}\"\n", table,
                       to, mapping.protocol, mapping.host_port, target, mapping.container_port,
                       comment_of(config.container_id));
  }
  if (!config.snat) {
    return out;
  }
  const auto masquerade = [&](std::string_view from) {
    out += fmt::format(
        "add rule {0} masquerading {1} saddr {2} {1} daddr {3} masquerade comment \"{4}\"\n", table,
        ip, from, address, comment_of(config.container_id));
  };
  const std::string_view everybody = family == Family::v4 ? "0.0.0.0/0" : "::/0";
  masquerade(config.masquerade_all ? everybody : std::string_view(address));
  if (family == Family::v4 && !config.masquerade_all) {
    masquerade("127.0.0.1");
  }
  return out;
}

void set_up_nft_ports(const PortmapConfig& config) {
  std::string commands = removal(config.container_id);  // what a DEL did not
  for (const Family family : kFamilies) {
    if (config.address(family)) {
      commands += nft_ports(config, family);
    }
  }
  if (!commands.empty()) {
    Nft::change(commands);
  }
}

void check_nft_ports(const PortmapConfig& config) {
  for (const Family family : kFamilies) {
    if (!config.address(family)) {
      continue;
    }
    const auto mappings = std::count_if(
        config.mappings.begin(), config.mappings.end(),
        [&](const PortMapping& mapping) { return PortmapConfig::applies(mapping, family); });
    check_chain(table_of(family) + " hostports", config.container_id,
                static_cast<std::size_t>(mappings));
    if (config.snat) {
      const bool with_localhost = family == Family::v4 && !config.masquerade_all;
      check_chain(table_of(family) + " masquerading", config.container_id, with_localhost ? 2 : 1);
    }
  }
}

void tear_down_nft_ports(const std::string& container_id) {
  const std::string commands = removal(container_id);
  if (!commands.empty()) {
    Nft::change(commands);
  }
}

}  // namespace flannel::cni
