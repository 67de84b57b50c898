#include "kube/kubeconfig.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/base64.h"
#include "base/printable.h"
#include "kube/yaml.h"

namespace flannel {
namespace {

namespace json = boost::json;

// The fields of an object by their names. What is missing or null is empty, and so is what is of
// another type, which is the reader's error from then on.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  std::string text(const json::object& in, std::string_view name) {
    const json::value* const value = in.if_contains(name);
    if (value == nullptr || value->is_null()) {
      return "";
    }
    if (!value->is_string()) {
      refuse(name, "not a text");
      return "";
    }
    return std::string(value->get_string());
  }

  bool flag(const json::object& in, std::string_view name) {
    const std::string value = text(in, name);
    if (!value.empty() && value != "true" && value != "false") {
      refuse(name, "neither true nor false");
    }
    return value == "true";
  }

  const json::object& object(const json::object& in, std::string_view name) {
    static const json::object kEmpty;
    const json::value* const value = in.if_contains(name);
    if (value != nullptr && !value->is_null() && !value->is_object()) {
      refuse(name, "not an object");
    }
    return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
  }

  std::vector<json::value> list(const json::object& in, std::string_view name) {
    const json::value* const value = in.if_contains(name);
    if (value != nullptr && !value->is_null() && !value->is_array()) {
      refuse(name, "not a list");
    }
    return value != nullptr && value->is_array()
               ? std::vector<json::value>(value->get_array().begin(), value->get_array().end())
               : std::vector<json::value>();
  }

  // What stands below `field` in the entry called `name` of a list: `clusters`, `users`,
  // `contexts`.
  json::object named(const json::object& in, std::string_view list_name, std::string_view field,
                     const std::string& name) {
    for (const json::value& each : list(in, list_name)) {
      if (each.is_object() && text(each.get_object(), "name") == name) {
        where_ = fmt::format("{} \"{}\": ", field, printable(name));
        return object(each.get_object(), field);
      }
    }
    refuse(list_name, fmt::format("none is called \"{}\"", printable(name)));
    return {};
  }

  // The text in the field NAME-data, or else the file whose path is in the field NAME.
  PemSource pem(const json::object& in, const std::string& name) {
    const std::string field = name + "-data";
    const std::string data = text(in, field);
    if (data.empty()) {
      return {.path = file(text(in, name)), .data = {}};
    }
    std::optional<std::string> bytes = base64_decode(data);
    if (!bytes) {
      refuse(field, "not base64");
    }
    return {.path = "",
            .data = {.name = fmt::format("{}: {}{}", path_, where_, field),
                     .text = std::move(bytes).value_or("")}};
  }

  std::string file(const std::string& name) const {
    const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    return name.empty() ? "" : (folder / name).lexically_normal().string();
  }

  void refuse(std::string_view field, std::string_view why) {
    if (error_.empty()) {
      error_ = fmt::format("{}: {}{}: {}", path_, where_, field, why);
    }
  }
  const std::string& error() const { return error_; }

 private:
  std::string path_;
  std::string where_;  // `user "admin": `
  std::string error_;
};

KubeCluster read_cluster(Reader& reader, const json::object& object) {
  constexpr std::string_view kExecSettings = "client.authentication.k8s.io/exec";
  KubeCluster out;
  out.server = reader.text(object, "server");
  out.ca = reader.pem(object, "certificate-authority");
  out.verify = !reader.flag(object, "insecure-skip-tls-verify");
  out.certificate_name = reader.text(object, "tls-server-name");
  for (const json::value& extension : reader.list(object, "extensions")) {
    out.exec_settings =
        out.exec_settings ||
        (extension.is_object() && reader.text(extension.get_object(), "name") == kExecSettings);
  }
  if (!out.verify && out.ca != PemSource()) {
    reader.refuse("insecure-skip-tls-verify", "true, and a certificate-authority is given as well");
  }
  out.proxy_url = reader.text(object, "proxy-url");
  return out;
}

ExecCommand read_exec(Reader& reader, const json::object& object) {
  ExecCommand out;
  out.command = reader.text(object, "command");
  if (out.command.contains('/')) {
    out.command = reader.file(out.command);
  }
  out.api_version = reader.text(object, "apiVersion");
  out.install_hint = reader.text(object, "installHint");
  out.cluster_info = reader.flag(object, "provideClusterInfo");
  for (const json::value& each : reader.list(object, "args")) {
    out.arguments.push_back(reader.text(json::object{{"exec.args", each}}, "exec.args"));
  }
  for (const json::value& each : reader.list(object, "env")) {
    if (!each.is_object()) {
      reader.refuse("exec.env", "not a list of names and values");
      break;
    }
    out.environment.emplace_back(reader.text(each.get_object(), "name"),
                                 reader.text(each.get_object(), "value"));
  }
  if (out.command.empty()) {
    reader.refuse("exec.command", "missing");
  }
  constexpr std::string_view kGroup = "client.authentication.k8s.io/";
  if (out.api_version != fmt::format("{}v1", kGroup) &&
      out.api_version != fmt::format("{}v1beta1", kGroup)) {
    reader.refuse("exec.apiVersion", fmt::format("\"{}\" is neither {}v1 nor {}v1beta1",
                                                 printable(out.api_version), kGroup, kGroup));
  }
  if (reader.text(object, "interactiveMode") == "Always") {
    reader.refuse("exec.interactiveMode", "nobody is there to be asked");
  }
  return out;
}

KubeUser read_user(Reader& reader, const json::object& object) {
  KubeUser out;
  out.token = reader.text(object, "token");
  out.token_file = reader.file(reader.text(object, "tokenFile"));
  out.username = reader.text(object, "username");
  out.password = reader.text(object, "password");
  out.certificate = reader.pem(object, "client-certificate");
  out.key = reader.pem(object, "client-key");
  if (object.contains("exec") && !object.at("exec").is_null()) {
    out.exec = read_exec(reader, reader.object(object, "exec"));
  }
  for (const std::string_view unsupported : {"auth-provider", "as", "as-uid", "as-groups"}) {
    if (object.contains(unsupported) && !object.at(unsupported).is_null()) {
      reader.refuse(unsupported, unsupported == "auth-provider"
                                     ? "not supported; an exec plugin takes its place"
                                     : "not supported");
    }
  }
  const bool has_token = !out.token.empty() || !out.token_file.empty();
  if (has_token + !out.username.empty() + out.exec.has_value() > 1) {
    reader.refuse("token, username, exec", "more than one is given");
  }
  if ((out.certificate == PemSource()) != (out.key == PemSource())) {
    reader.refuse("client-certificate, client-key", "one is given without the other");
  }
  return out;
}

}  // namespace

Result<Kubeconfig> parse_kubeconfig(std::string_view text, const std::string& path) {
  const Result<json::value> document = parse_yaml(text);
  if (!document) {
    return fail("{}: {}", path, document.error().text);
  }
  if (!document->is_object()) {
    return fail("{}: no kubeconfig", path);
  }
  const json::object& root = document->get_object();
  Reader reader(path);
  const std::string current = reader.text(root, "current-context");
  if (current.empty()) {
    reader.refuse("current-context", "missing");
  }
  const json::object context = reader.named(root, "contexts", "context", current);
  const std::string cluster = reader.text(context, "cluster");
  const std::string user = reader.text(context, "user");
  Kubeconfig out;
  out.cluster = read_cluster(reader, reader.named(root, "clusters", "cluster", cluster));
  if (!user.empty()) {
    out.user = read_user(reader, reader.named(root, "users", "user", user));
  }
  if (!reader.error().empty()) {
    return std::unexpected(Error{reader.error()});
  }
  return out;
}

Result<ApiUrl> parse_api_url(std::string_view text, bool secure) {
  Result<Endpoint> endpoint = parse_endpoint(text);
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  if (endpoint->is_unix()) {
    return fail("endpoint \"{}\": scheme is not http or https", printable(text));
  }
  const std::size_t mark = text.find("://");
  const std::size_t host = mark == std::string_view::npos ? 0 : mark + 3;
  if (!endpoint->tls) {
    const std::string whole = fmt::format("{}://{}", secure ? "https" : "http", text);
    endpoint = parse_endpoint(whole);  // once more, for the port that goes with the scheme
  }
  const std::size_t slash = std::min(text.find('/', host), text.size());
  std::string path(text.substr(slash, text.find_first_of("?#", slash) - slash));
  while (path.ends_with('/')) {
    path.pop_back();
  }
  // It goes into requests as it is: only what cannot be in a path at all (RFC 3986, 3.3) is
  // refused.
  const bool plain = std::ranges::all_of(path, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!plain) {
    return fail("endpoint \"{}\": its path has characters that a URL has not", printable(text));
  }
  return ApiUrl{.endpoint = std::move(*endpoint), .base_path = std::move(path)};
}

}  // namespace flannel
