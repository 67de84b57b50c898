#include "cni/portmap/portmap_config.h"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "base/ascii_text.h"
#include "cni/protocol/error.h"
#include "cni/protocol/result.h"

namespace flannel::cni {
namespace {

std::uint16_t port_of(const Fields& fields, const char* name, const char* what) {
  const std::int64_t port = fields.number(name).value_or(0);
  if (port <= 0 || port > 65'535) {
    throw_error(Code::invalid_config, "Invalid {} port number: {}", what, port);
  }
  return static_cast<std::uint16_t>(port);
}

PortMapping parse_mapping(const Fields& fields) {
  PortMapping mapping;
  mapping.container_port = port_of(fields, "containerPort", "container");
  mapping.host_port = port_of(fields, "hostPort", "host");
  mapping.protocol = lower_case(fields.text("protocol").value_or("tcp"));
  if (mapping.protocol != "tcp" && mapping.protocol != "udp" && mapping.protocol != "sctp") {
    throw_error(Code::invalid_config, "protocol \"{}\": not tcp, udp or sctp", mapping.protocol);
  }
  mapping.host_ip = fields.address("hostIP");
  return mapping;
}

// A word that goes into a rule as it is, so that it must not end its line.
void check_word(const std::string& word, const char* name) {
  if (std::any_of(word.begin(), word.end(), [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    throw_error(Code::invalid_config, "{}: a control character in {}", name,
                json::serialize(json::string(word)));
  }
}

std::vector<std::string> parse_conditions(const Fields& fields, const char* name) {
  std::vector<std::string> words = fields.texts(name);
  for (const std::string& word : words) {
    check_word(word, name);
  }
  return words;
}

// What ends a command of nft or hides the rest of one, outside of quotes. Braces are sets, which
// end nothing.
void check_nft_words(const std::vector<std::string>& words, const char* name) {
  bool quoted = false;
  for (const char c : fmt::format("{}", fmt::join(words, " "))) {
    quoted = quoted != (c == '"');
    if (!quoted && (c == ';' || c == '#' || c == '\\')) {
      throw_error(Code::invalid_config, "{}: {} outside of quotes", name, c);
    }
  }
  if (quoted) {
    throw_error(Code::invalid_config, "{}: a quote that does not end", name);
  }
}

// Matches have options that are long, values too; iptables' own short ones that are no matches are
// commands, targets and tables. --modprobe, which may be cut short, names a program that is run.
void check_iptables_words(const std::vector<std::string>& words, const char* name) {
  constexpr std::string_view kMatches = "sdiopm";  // each with a value, which may follow at once
  constexpr std::string_view kModprobe = "--modprobe";
  for (const std::string& word : words) {
    const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
    const bool is_match =
        is_short && (kMatches.find(word[1]) != std::string_view::npos || word == "-f");
    const std::string option = word.substr(0, word.find('='));
    const bool runs_program = option.size() > 2 && kModprobe.starts_with(option);
    if ((is_short && !is_match) || runs_program) {
      throw_error(Code::invalid_config, "{}: {} is no condition", name, word);
    }
  }
}

// The backend whose language the conditions are in; empty where there are none.
std::string_view language_of(const std::vector<std::string>& conditions) {
  if (conditions.empty() || conditions[0].empty()) {
    return "";
  }
  const char first = conditions[0][0];
  return first == '-' || first == '!' ? "iptables" : "nftables";
}

// Options that only one backend has, with the other asked for.
void check_backend(const PortmapConfig& config) {
  const std::string& backend = config.backend;
  if (backend != "iptables" && backend != "nftables") {
    throw_error(Code::invalid_config, "unrecognized backend \"{}\"", backend);
  }
  const auto check = [&](std::string_view needs, const char* option) {
    if (!needs.empty() && needs != backend) {
      throw_error(Code::invalid_config,
                  "{} backend was requested but configuration contains {}-specific options [{}]",
                  backend, needs, option);
    }
  };
  check(config.set_mark_chain ? "iptables" : "", "externalSetMarkChain");
  check(language_of(config.conditions_v4), "conditionsV4");
  check(language_of(config.conditions_v6), "conditionsV6");
  const auto check_words = backend == "nftables" ? check_nft_words : check_iptables_words;
  check_words(config.conditions_v4, "conditionsV4");
  check_words(config.conditions_v6, "conditionsV6");
}

// The first address of each family on the container's interface.
void read_addresses(const Request& request, PortmapConfig& config) {
  const AddResult result = previous_result(request).value_or(AddResult());
  for (const ResultIp& ip : result.ips) {
    std::optional<Prefix>& address = ip.address.ip.is_v4() ? config.v4 : config.v6;
    const std::size_t index = static_cast<std::size_t>(ip.interface.value_or(-1));
    const bool elsewhere = index < result.interfaces.size() &&
                           (result.interfaces[index].name != request.attachment.ifname ||
                            result.interfaces[index].sandbox.empty());
    if (!address && !elsewhere) {
      address = ip.address;
    }
  }
}

}  // namespace

PortmapConfig parse_portmap(const Request& request, const std::string& default_backend) {
  const Fields fields = request.fields();
  PortmapConfig config;
  config.network = request.name;
  config.container_id = request.attachment.container_id;
  for (const Fields& item : fields.object("runtimeConfig").objects("portMappings")) {
    config.mappings.push_back(parse_mapping(item));
  }
  config.backend = fields.text("backend").value_or(default_backend);
  config.snat = fields.flag("snat").value_or(true);
  config.masquerade_all = fields.flag("masqAll").value_or(false);
  config.set_mark_chain = fields.text("externalSetMarkChain");
  check_word(config.set_mark_chain.value_or(""), "externalSetMarkChain");
  const std::optional<std::int64_t> bit = fields.number("markMasqBit");
  if (bit && config.set_mark_chain) {
    throw_error(Code::invalid_config, "Cannot specify externalSetMarkChain and markMasqBit");
  }
  if (bit && (*bit < 0 || *bit > 31)) {
    throw_error(Code::invalid_config, "MasqMarkBit must be between 0 and 31: {}", *bit);
  }
  config.mark_bit = static_cast<unsigned>(bit.value_or(config.mark_bit));
  config.conditions_v4 = parse_conditions(fields, "conditionsV4");
  config.conditions_v6 = parse_conditions(fields, "conditionsV6");
  check_backend(config);
  read_addresses(request, config);
  return config;
}

}  // namespace flannel::cni
