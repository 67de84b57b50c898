#include "cni/delegate.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "cni/error.h"
#include "cni/process.h"

namespace flannel::cni {
namespace {

std::string find_delegate(const Request& request, const std::string& type) {
  if (type.empty() || type.find('/') != std::string::npos) {
    throw_error(Code::invalid_config, "invalid plugin name: \"{}\"", type);
  }
  const std::optional<std::string> path = find_program(type, request.path);
  if (!path) {
    throw_error(Code::internal, "failed to find plugin \"{}\" in path [{}]", type, request.path);
  }
  return *path;
}

// What a failed plugin said: its error object, or whatever else it printed.
CniError error_of(const std::string& type, const ProcessOutput& output) {
  boost::system::error_code bad;
  const json::value document = json::parse(output.out, bad);
  if (!bad && document.is_object()) {
    const Fields fields(document.get_object(), type + ": ");
    try {
      return CniError(static_cast<unsigned>(fields.number("code").value_or(0)),
                      fields.text("msg").value_or(""), fields.text("details").value_or(""));
    } catch (const CniError&) {  // an object of another kind
    }
  }
  return CniError(Code::internal, fmt::format("netplugin failed: \"{}\" ended with status {}: {}{}",
                                              type, output.status, output.out, output.err));
}

}  // namespace

std::string run_delegate(const Request& request, const std::string& command,
                         const std::string& type, const json::object& config) {
  ProcessOutput output = run_process(find_delegate(request, type), {}, json::serialize(config),
                                     {{"CNI_COMMAND", command}});
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
                out);
  }
  return parse_result(document.get_object(), request.version);
}

}  // namespace flannel::cni
