#include "cni/nft.h"

#include <boost/json/parse.hpp>
#include <sstream>

#include "cni/error.h"
#include "cni/fields.h"
#include "cni/iptables.h"
#include "cni/process.h"

namespace flannel::cni {
namespace {

std::string program() {
  return find_program("nft", program_folders()).value_or("");
}

}  // namespace

bool Nft::installed() {
  return !program().empty();
}

void Nft::change(const std::string& commands) {
  const std::string path = program();
  if (path.empty()) {
    throw_error(Code::internal, "failed to locate nft");
  }
  const ProcessOutput output = run_process(path, {"-f", "-"}, commands);
  if (output.status != 0) {
    throw_error(Code::internal, "nft: {}", output.err);
  }
}

std::vector<std::string> Nft::handles(const std::string& chain,
                                      const std::function<bool(std::string_view)>& matches) {
  std::vector<std::string> out;
  const std::string path = program();
  if (path.empty()) {
    return out;
  }
  std::vector<std::string> arguments = {"-j", "-a", "list", "chain"};
  std::istringstream words(chain);
  for (std::string word; words >> word;) {
    arguments.push_back(word);
  }
  const ProcessOutput output = run_process(path, arguments, "");
  if (output.status != 0) {
    return out;
  }
  const json::object document = parse_json_object(output.out, "nft");
  for (const Fields& item : Fields(document).objects("nftables")) {
    const Fields rule = item.object("rule");
    const std::optional<std::string> comment = rule.text("comment");
    if (comment && matches(*comment)) {
      out.push_back(fmt::format("{}", rule.number("handle").value_or(0)));
    }
  }
  return out;
}

std::string deletions(const std::string& chain, const std::vector<std::string>& handles) {
  std::string out;
  for (const std::string& handle : handles) {
    out += fmt::format("delete rule {} handle {}\n", chain, handle);
  }
  return out;
}

}  // namespace flannel::cni
