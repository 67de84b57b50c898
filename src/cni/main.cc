// The CNI plugins, one program: which one it is, its name says.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"
#include "base/version.h"
#include "cni/host/netns.h"
#include "cni/protocol/error.h"
#include "cni/protocol/json_text.h"
#include "cni/protocol/plugin.h"

namespace flannel::cni {
namespace {

constexpr std::size_t kMostOfError = 4096;  // characters of a text

void print(std::string_view text) {
  if (!write_all(STDOUT_FILENO, text)) {
    throw_error(Code::io_failure, "cannot write the result: {}", std::strerror(errno));
  }
}

std::string read_input() {
  Result<std::string> text = read_all(STDIN_FILENO);
  if (!text) {
    throw_error(Code::io_failure, "error reading from stdin: {}", text.error().text);
  }
  return std::move(*text);
}

void print_error(const CniError& error) {
  json::object out;
  out.emplace("code", error.code());
  out.emplace("msg", printable(error.what(), kMostOfError));
  if (!error.details().empty()) {
    out.emplace("details", printable(error.details(), kMostOfError));
  }
  (void)write_all(STDOUT_FILENO, pretty_print(out));  // who does not read has the exit status
}

void print_versions() {
  json::object out;
  out.emplace("cniVersion", kVersions.back());
  out.emplace("supportedVersions", json::array(kVersions.begin(), kVersions.end()));
  print(json::serialize(out) + "\n");
}

void print_about(const Plugin& plugin) {
  std::cerr << fmt::format("CNI plugin {} of flannel-cpp {}\nCNI protocol versions supported: {}\n",
                           plugin.name, kVersion, fmt::join(kVersions, ", "));
}

// Before anything is made, where the reference looks when all is done.
void refuse_own_netns(const Request& request) {
  const bool changes = request.verb == Verb::add || request.verb == Verb::del;
  if (changes && !request.own_netns_allowed && is_own_netns(request.netns)) {
    throw_error(Code::invalid_netns,
                "plugin's netns and netns from CNI_NETNS should not be the same");
  }
}

void serve(const Plugin& plugin, const Request& request) {
  refuse_own_netns(request);
  switch (request.verb) {
    case Verb::add:
      print(pretty_print(plugin.add(request)));
      break;
    case Verb::check:
      plugin.check(request);
      break;
    case Verb::del:
      plugin.del(request);
      break;
    case Verb::gc:
      plugin.gc(request);
      break;
    case Verb::status:
      plugin.status(request);
      break;
  }
}

// A descriptor that the runtime left closed would be the next file's that we open, and what is
// written for people would go there.
void open_standard_streams() {
  std::array<pollfd, 3> streams = {pollfd{STDIN_FILENO, 0, 0}, pollfd{STDOUT_FILENO, 0, 0},
                                   pollfd{STDERR_FILENO, 0, 0}};
  ::poll(streams.data(), streams.size(), 0);
  for (const pollfd& stream : streams) {
    if ((stream.revents & POLLNVAL) != 0) {
      (void)::open("/dev/null", O_RDWR | O_CLOEXEC);  // the lowest number that is free
    }
  }
}

// The plugin whose program we were started as; flannel by any other name.
const Plugin& plugin_of(const std::string& name) {
  for (const Plugin* plugin : {&kBridge, &kHostLocal, &kPortmap, &kLoopback}) {
    if (plugin->name == name) {
      return *plugin;
    }
  }
  return kFlannel;
}

int run(const Plugin& plugin) {
  open_standard_streams();
  const Environment environment = [](const char* name) { return std::getenv(name); };
  const std::string command = command_of(environment);
  if (command.empty()) {
    print_about(plugin);
    return 0;
  }
  try {
    if (command == "VERSION") {
      print_versions();
      return 0;
    }
    Request request = parse_request(environment, read_input());
    request.callers += fmt::format("{}/", plugin.name);
    serve(plugin, request);
    return 0;
  } catch (const std::exception& error) {
    print_error(to_cni_error(error));
  }
  return 1;
}

}  // namespace
}  // namespace flannel::cni

int main(int, char** arguments) {
  using namespace flannel::cni;
  return run(plugin_of(std::filesystem::path(arguments[0]).filename().string()));
}
