// flannelctl: the operator's tool.

#include <fmt/core.h>

#include "base/version.h"
#include "ctl/command_line.h"
#include "ctl/lab_commands.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"

namespace flannel {
namespace {

constexpr std::string_view kDefaultSocket = "/run/flannel/flanneld.sock";

std::string usage() {
  return "Usage: flannelctl COMMAND\n"
         "  status [--json] [--all]  the node: lease, peers, and what is not as wanted and why\n"
         "  plan                     what the daemon would change in the kernel now\n"
         "                           (both with --socket PATH, /run/flannel/flanneld.sock)\n" +
         lab_usage() + "  --version, --help\n";
}

int complain(const std::string& text, int code) {
  fmt::print(stderr, "flannelctl: {}\n", text);
  return code;
}

int status(const CommandLine& line) {
  const Result<Page> page = get_page(line.get("socket", kDefaultSocket), "/status");
  if (!page) {
    return complain(page.error().text, 1);
  }
  if (line.has("json")) {
    fmt::print("{}\n", page->body);
    return 0;
  }
  const Result<std::string> text = status_page(page->body, line.has("all") ? SIZE_MAX : 50);
  if (!text) {
    return complain(text.error().text, 1);
  }
  fmt::print("{}", *text);
  return 0;
}

int plan(const CommandLine& line) {
  const Result<Page> page = get_page(line.get("socket", kDefaultSocket), "/plan");
  if (!page) {
    return complain(page.error().text, 1);
  }
  fmt::print("{}", page->body);
  return page->status == 200 ? 0 : 1;
}

int run(std::span<const std::string> arguments) {
  if (!arguments.empty() && arguments[0] == "lab") {
    return run_lab(arguments.subspan(1));
  }
  const Result<CommandLine> line = parse_command_line(
      arguments, {.with_value = {"socket"}, .without_value = {"json", "all", "help", "version"}});
  if (!line) {
    return complain(line.error().text + "\n" + usage(), 2);
  }
  if (line->has("help")) {
    fmt::print("{}", usage());
    return 0;
  }
  if (line->has("version")) {
    fmt::print("{}\n", kVersion);
    return 0;
  }
  if (line->words.size() == 1 && line->words[0] == "status") {
    return status(*line);
  }
  if (line->words.size() == 1 && line->words[0] == "plan") {
    return plan(*line);
  }
  return complain(
      (line->words.empty() ? "what shall it do?" : "unknown command " + line->words[0]) + "\n" +
          usage(),
      2);
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  try {
    return flannel::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "flannelctl: {}\n", error.what());
    return 1;
  }
}
