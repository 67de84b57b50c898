// flannelctl: the operator's tool.

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "ctl/commands.h"
#include "ctl/interrupt.h"

namespace flannel {
namespace {

int run(std::span<const std::string> arguments) {
  const Result<Call> call = parse_call(all_commands(), arguments);
  if (!call) {
    fmt::print(stderr, "{}\n", call.error().text);
    return 2;
  }
  if (!call->help.empty()) {
    fmt::print(call->is_asked ? stdout : stderr, "{}", call->help);
    return call->is_asked ? 0 : 2;
  }
  try {
    return call->command->run(call->line);
  } catch (const std::exception& error) {
    fmt::print(stderr, "flannelctl: {}\n", error.what());
    return is_interrupted() ? 130 : 1;
  }
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const int code = flannel::run(arguments);
  // A full disk or a closed pipe: what was asked for did not arrive.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "flannelctl: standard output: {}\n", std::strerror(errno));
    return code == 0 ? 1 : code;
  }
  return code;
}
