#include "cni/protocol/delegate.h"

#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <limits>

#include "base/file.h"
#include "base/printable.h"
#include "cni/protocol/error.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

// Go's records do not name the interface; runtimes call a container's first one so.
constexpr const char* kUsualInterface = "eth0";
constexpr std::size_t kMostOfOutput = 1000;  // characters that are quoted of it

std::string find_delegate(const Request& request, const std::string& type) {
  if (type.empty() || type.find('/') != std::string::npos) {
    throw CannotRun(Code::invalid_config,
                    fmt::format("invalid plugin name: \"{}\"", printable(type)));
  }
  if (("/" + request.callers).find("/" + type + "/") != std::string::npos) {
    throw CannotRun(Code::invalid_config,
                    fmt::format("plugin \"{}\" would be run by itself: {}{}", printable(type),
                                printable(request.callers), printable(type)));
  }
  const std::optional<std::string> path = find_program(type, request.path);
  if (!path) {
    throw CannotRun(Code::internal, fmt::format("failed to find plugin \"{}\" in path [{}]",
                                                printable(type), request.path));
  }
  return *path;
}

// run_process(); CannotRun where the program did not even start.
ProcessOutput start_and_wait(const std::string& path, const std::string& input,
                             const std::vector<std::pair<std::string, std::string>>& variables) {
  try {
    return run_process(path, {}, input, variables);
  } catch (const ProcessError& error) {
    if (error.kind() == ProcessError::Kind::not_started) {
      throw CannotRun(Code::io_failure, error.what());
    }
    throw;
  }
}

// What a failed plugin said: its error object, or else whatever it printed and its standard error.
CniError error_of(const std::string& type, const ProcessOutput& output) {
  boost::system::error_code bad;
  const json::value document = json::parse(output.out, bad);
  if (!bad && document.is_object()) {
    const Fields fields(document.get_object(), type + ": ");
    try {
      const std::int64_t code = fields.number("code").value_or(0);
      const std::string message = fields.text("msg").value_or("");
      if (code > 0 && code <= std::numeric_limits<unsigned>::max() && !message.empty()) {
        return CniError(static_cast<unsigned>(code), message, fields.text("details").value_or(""));
      }
    } catch (const CniError&) {  // an object of another kind
    }
  }
  // Each with a limit of its own: much of the one leaves room for the other.
  return CniError(
      Code::internal,
      fmt::format("netplugin failed: \"{}\" ended with status {}: {}{}", type, output.status,
                  printable(output.out, kMostOfOutput), printable(output.err, kMostOfOutput)));
}

// What a plugin says to people, line by line; nobody may be there.
void say(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end), kMostOfOutput) + "\n";
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  (void)write_all(STDERR_FILENO, out);
}

}  // namespace

std::string run_delegate(const Request& request, const std::string& command,
                         const std::string& type, const json::object& config) {
  const Attachment& attachment = request.attachment;
  const bool unnamed = !attachment.container_id.empty() && attachment.ifname.empty();
  ProcessOutput output =
      start_and_wait(find_delegate(request, type), json::serialize(config),
                     {{"CNI_COMMAND", command},
                      {"CNI_CONTAINERID", attachment.container_id},
                      {"CNI_IFNAME", unnamed ? kUsualInterface : attachment.ifname},
                      {"CNI_NETNS", request.netns},
                      {"FLANNEL_CNI_CALLERS", request.callers}});
  say(output.err);
  if (output.status != 0) {
    throw error_of(type, output);
  }
  return std::move(output.out);
}

AddResult delegate_add(const Request& request, const std::string& type,
                       const json::object& config) {
  const std::string out = run_delegate(request, "ADD", type, config);
  boost::system::error_code error;
  const json::value document = json::parse(out, error);
  if (!error && document.is_null()) {
    return {};
  }
  if (error || !document.is_object()) {
    throw_error(Code::decoding_failure, "the result of plugin \"{}\" is no JSON object: {}", type,
                printable(out));
  }
  return parse_result(document.get_object(), request.version);
}

}  // namespace flannel::cni
