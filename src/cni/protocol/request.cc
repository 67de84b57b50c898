#include "cni/protocol/request.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/ascii_text.h"
#include "base/printable.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

struct VerbName {
  std::string_view text;
  Verb verb;
  std::string_view since;  // the version that has it
};
constexpr std::array kVerbs = {
    VerbName{"ADD", Verb::add, "0.1.0"},       VerbName{"CHECK", Verb::check, "0.4.0"},
    VerbName{"DEL", Verb::del, "0.1.0"},       VerbName{"GC", Verb::gc, "1.1.0"},
    VerbName{"STATUS", Verb::status, "1.1.0"},
};

std::string variable(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

// Of containers and networks: alphanumeric first, then also `_`, `.` and `-`.
bool is_identifier(std::string_view text) {
  const auto alphanumeric = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !text.empty() && alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

// Results and records are JSON, which is UTF-8.
void check_text(std::string_view variable, std::string_view value) {
  if (printable(value, value.size()) != value) {
    throw_error(Code::invalid_environment, "{} \"{}\": a control character, or no UTF-8", variable,
                printable(value));
  }
}

void check_ifname(std::string_view name) {
  if (name.size() > 15) {  // IFNAMSIZ less the NUL
    throw_error(Code::invalid_environment, "interface name is too long: \"{}\" has over 15 bytes",
                name);
  }
  if (name == "." || name == "..") {
    throw_error(Code::invalid_environment, "interface name is . or ..");
  }
  const bool bad = std::any_of(name.begin(), name.end(), [](unsigned char c) {
    return c == '/' || c == ':' || std::isspace(c) != 0;
  });
  if (bad) {
    throw_error(Code::invalid_environment,
                "interface name contains / or : or whitespace characters: \"{}\"", name);
  }
  check_text("CNI_IFNAME", name);
}

// The variables that `verb` needs; VERSION needs none.
void check_variables(const std::optional<VerbName>& verb, const Request& request) {
  if (!verb) {
    return;
  }
  const bool of_container =
      verb->verb == Verb::add || verb->verb == Verb::check || verb->verb == Verb::del;
  std::string missing;
  const auto need = [&missing](std::string_view name, const std::string& value, bool needed) {
    if (needed && value.empty()) {
      missing.append(missing.empty() ? "" : ",").append(name);
    }
  };
  const Attachment& attachment = request.attachment;
  if (of_container && !attachment.container_id.empty() && !is_identifier(attachment.container_id)) {
    throw CniError(Code::invalid_environment, "invalid characters in containerID",
                   attachment.container_id);
  }
  if (of_container && !attachment.ifname.empty()) {
    check_ifname(attachment.ifname);
  }
  if (of_container) {
    check_text("CNI_NETNS", request.netns);
  }
  need("CNI_CONTAINERID", attachment.container_id, of_container);
  need("CNI_NETNS", request.netns, of_container && verb->verb != Verb::del);
  need("CNI_IFNAME", attachment.ifname, of_container);
  need("CNI_PATH", request.path, true);
  if (!missing.empty()) {
    throw_error(Code::invalid_environment, "required env variables [{}] missing", missing);
  }
}

bool is_true(std::string_view text) {
  return text == "1" || lower_case(text) == "true";
}

std::optional<VerbName> find_verb(std::string_view text) {
  const auto* found = std::find_if(kVerbs.begin(), kVerbs.end(),
                                   [&](const VerbName& name) { return name.text == text; });
  return found == kVerbs.end() ? std::nullopt : std::optional(*found);
}

// A file NAME.conflist as it is, by hand: a runtime makes one configuration a plugin of it.
void refuse_list(const Fields& fields) {
  const json::value* plugins = fields.find("plugins");
  if (plugins != nullptr && plugins->is_array() && fields.find("type") == nullptr) {
    throw CniError(Code::invalid_config, "this is a list of plugins: give the configuration of one",
                   "with the list's name and version: jq '{name, cniVersion} + .plugins[0]' "
                   "NAME.conflist");
  }
}

void read_config(Request& request, std::string_view standard_input) {
  request.config = parse_json_object(standard_input, "network configuration");
  refuse_list(request.fields());
  request.name = request.fields().text("name").value_or("");
  if (request.name.empty()) {
    throw_error(Code::invalid_config, "missing network name");
  }
  if (!is_identifier(request.name)) {
    throw CniError(Code::invalid_config, "invalid characters found in network name", request.name);
  }
  request.version = request.fields().text("cniVersion").value_or("");
  if (request.version.empty()) {
    request.version = kVersions.front();  // configurations were older than versions
  }
}

}  // namespace

std::size_t version_index(std::string_view version) {
  const auto* found = std::find(kVersions.begin(), kVersions.end(), version);
  if (found == kVersions.end()) {
    throw CniError(
        Code::incompatible_version, "incompatible CNI versions",
        fmt::format("config is \"{}\", plugin supports {}", version, fmt::join(kVersions, ", ")));
  }
  return static_cast<std::size_t>(found - kVersions.begin());
}

bool Request::version_at_least(std::string_view than) const {
  return version_index(version) >= version_index(than);
}

std::string command_of(const Environment& environment) {
  return variable(environment, "CNI_COMMAND");
}

Request parse_request(const Environment& environment, std::string_view standard_input) {
  const std::string command = command_of(environment);
  const std::optional<VerbName> verb = find_verb(command);
  Request request;
  request.attachment = {variable(environment, "CNI_CONTAINERID"),
                        variable(environment, "CNI_IFNAME")};
  request.netns = variable(environment, "CNI_NETNS");
  request.args = variable(environment, "CNI_ARGS");
  request.path = variable(environment, "CNI_PATH");
  request.callers = variable(environment, "FLANNEL_CNI_CALLERS");
  request.own_netns_allowed = is_true(variable(environment, "CNI_NETNS_OVERRIDE"));
  check_variables(verb, request);
  read_config(request, standard_input);
  if (!verb) {
    throw_error(Code::invalid_environment, "unknown CNI_COMMAND: {}", command);
  }
  request.verb = verb->verb;
  if (!request.version_at_least(verb->since)) {
    throw_error(Code::incompatible_version, "config version does not allow {}", verb->text);
  }
  return request;
}

std::vector<std::string> parse_args(std::string_view args,
                                    const std::vector<std::string_view>& known) {
  std::vector<std::string> values(known.size());
  std::string unknown;
  bool ignore_unknown = false;
  for (bool more = !args.empty(); more;) {
    const std::size_t end = args.find(';');
    const std::string_view pair = args.substr(0, end);
    more = end != std::string_view::npos;
    args.remove_prefix(more ? end + 1 : args.size());
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.find('=', equals + 1) != std::string_view::npos) {
      throw_error(Code::internal, "ARGS: invalid pair \"{}\"", pair);
    }
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(equals + 1);
    const auto at = std::find(known.begin(), known.end(), name);
    if (at != known.end()) {
      values[static_cast<std::size_t>(at - known.begin())] = value;
    } else if (name == "IgnoreUnknown") {
      ignore_unknown = is_true(std::string(value));
      if (!ignore_unknown && value != "0" && value != "false" && value != "False") {
        throw_error(Code::internal,
                    "ARGS: error parsing value of pair \"{}\": not 1, true, 0 or false", pair);
      }
    } else {
      unknown += fmt::format("{}\"{}\"", unknown.empty() ? "" : " ", pair);
    }
  }
  if (!unknown.empty() && !ignore_unknown) {
    throw_error(Code::internal, "ARGS: unknown args [{}]", unknown);
  }
  return values;
}

std::vector<Attachment> valid_attachments(const Request& request) {
  constexpr const char* kList = "cni.dev/valid-attachments";
  if (request.fields().find(kList) == nullptr) {
    throw_error(Code::invalid_config, "GC without {}: without that list nothing is removed", kList);
  }
  std::vector<Attachment> out;
  for (const Fields& item : request.fields().objects(kList)) {
    out.push_back({item.text("containerID").value_or(""), item.text("ifname").value_or("")});
    if (out.back().container_id.empty() || out.back().ifname.empty()) {
      throw_error(Code::invalid_config, "{}: one without containerID or ifname", kList);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace flannel::cni
