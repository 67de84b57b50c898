#include "cni/iptables.h"

#include <cstdlib>
#include <sstream>

#include "cni/error.h"
#include "cni/process.h"

namespace flannel::cni {
namespace {

std::string quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\"\\'") == std::string::npos) {
    return word;
  }
  std::string out = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out + "\"";
}

std::string table_text(const std::vector<std::string>& lines) {
  return fmt::format("*nat\n{}\nCOMMIT\n", fmt::join(lines, "\n"));
}

}  // namespace

std::string rule_line(std::string_view command, std::string_view chain, const RuleWords& words) {
  std::string line = fmt::format("{} {}", command, chain);
  for (const std::string& word : words) {
    line.append(" ").append(quoted(word));
  }
  return line;
}

std::string program_folders() {
  const char* path = std::getenv("PATH");
  return std::string(path == nullptr ? "" : path) +
         ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

std::string Iptables::program(std::string_view suffix) const {
  const std::string name =
      fmt::format("{}{}", family_ == Family::v4 ? "iptables" : "ip6tables", suffix);
  return find_program(name, program_folders()).value_or("");
}

bool Iptables::installed() const {
  return !program("-restore").empty();
}

void Iptables::change(const std::vector<std::string>& lines) const {
  const std::string path = program("-restore");
  if (path.empty()) {
    throw_error(Code::internal, "failed to locate {}tables-restore",
                family_ == Family::v4 ? "ip" : "ip6");
  }
  const ProcessOutput output = run_process(path, {"--noflush", "--wait"}, table_text(lines));
  if (output.status != 0) {
    throw_error(Code::internal, "{}: {}", path, output.err);
  }
}

bool Iptables::try_change(const std::vector<std::string>& lines, bool only_test) const {
  std::vector<std::string> arguments = {"--noflush", "--wait"};
  if (only_test) {
    arguments.emplace_back("--test");
  }
  const std::string path = program("-restore");
  return !path.empty() && run_process(path, arguments, table_text(lines)).status == 0;
}

std::vector<std::string> Iptables::list(const std::string& chain) const {
  const std::string path = program("");
  std::vector<std::string> lines;
  if (path.empty()) {
    return lines;
  }
  const ProcessOutput output = run_process(path, {"--wait", "-t", "nat", "-S", chain}, "");
  std::istringstream text(output.status == 0 ? output.out : "");
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("-A ")) {
      lines.push_back(line);
    }
  }
  return lines;
}

std::vector<std::string> removal_of_chain(const std::vector<std::string>& lines,
                                          const std::string& chain) {
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    if (line.ends_with(" -j " + chain)) {
      out.push_back("-D" + line.substr(2));
    }
  }
  out.push_back(fmt::format(":{} - [0:0]", chain));  // made where missing, so that -X cannot fail
  out.push_back(fmt::format("-X {}", chain));
  return out;
}

}  // namespace flannel::cni
