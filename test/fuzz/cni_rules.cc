// Fuzzes what portmap and the masquerade are told to put into the input of nft and iptables: any
// text is refused, or is the same commands as harmless text, word for word where it is a word.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cni/firewall/nft_program.h"
#include "cni/portmap/portmap_config.h"
#include "cni/portmap/portmap_iptables.h"
#include "cni/portmap/portmap_nftables.h"
#include "cni/protocol/error.h"

namespace {

using namespace flannel;
using namespace flannel::cni;

void expect(bool holds) {
  if (!holds) {
    std::abort();
  }
}

json::array words_of(FuzzedDataProvider& data) {
  json::array words;
  while (words.size() < 8 && data.ConsumeBool()) {
    words.emplace_back(data.ConsumeRandomLengthString(64));
  }
  return words;
}

Request request_with(const json::array& conditions, const std::string& backend,
                     const std::string& chain) {
  Request request{.attachment = {"c1", "eth0"}, .name = "cbr0"};
  request.version = "1.0.0";
  request.config =
      json::parse(R"({"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1}]},
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.5.1.5/24"}]}})")
          .as_object();
  request.config["backend"] = backend;
  request.config["conditionsV4"] = conditions;
  if (!chain.empty()) {
    request.config["externalSetMarkChain"] = chain;
  }
  return request;
}

// How many commands nft sees: by lines, and by `;` outside of quotes and comments.
std::size_t nft_commands(std::string_view text) {
  std::size_t count = 0;
  bool quoted = false, comment = false;
  for (const char c : text) {
    comment = c != '\n' && (comment || (c == '#' && !quoted));
    quoted = !comment && quoted != (c == '"');
    count += c == '\n' || (c == ';' && !quoted && !comment) ? 1 : 0;
  }
  expect(!quoted);
  return count;
}

// A line's words as iptables-restore takes them: quotes hold together, a backslash in them is for
// the next character.
std::vector<std::string> iptables_words(std::string_view line) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\' && i + 1 < line.size()) {
      words.back().push_back(line[++i]);
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (line[i] == ' ' || line[i] == '\t')) {
      words.emplace_back();
    } else {
      words.back().push_back(line[i]);
    }
  }
  expect(!quoted);
  return words;
}

void check_iptables(const PortmapConfig& config) {
  bool found = false;
  for (const std::string& line : plan_iptables_ports(config, Family::v4, nullptr).lines()) {
    expect(line.find('\n') == std::string::npos);
    const std::vector<std::string> words = iptables_words(line);
    const std::vector<std::string>& wanted = config.conditions_v4;
    found = found ||
            std::search(words.begin(), words.end(), wanted.begin(), wanted.end()) != words.end();
  }
  expect(found);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  const std::string name = data.ConsumeRandomLengthString(200);
  const std::string word = nft_word(name, 40);
  expect(is_nft_word(word) && word.size() <= 40 && nft_word(word, 40) == word);
  const std::string backend = data.ConsumeBool() ? "nftables" : "iptables";
  const std::string chain = data.ConsumeBool() ? data.ConsumeRandomLengthString(40) : "";
  try {
    const PortmapConfig config =
        parse_portmap(request_with(words_of(data), backend, chain), "iptables");
    if (backend == "iptables") {
      check_iptables(config);
      return 0;
    }
    static const std::size_t plain = nft_commands(
        nft_ports(parse_portmap(request_with({}, "nftables", ""), "nftables"), Family::v4));
    expect(nft_commands(nft_ports(config, Family::v4)) == plain);
  } catch (const CniError&) {
    return 0;
  }
  return 0;
}
