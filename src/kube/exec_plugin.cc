#include "kube/exec_plugin.h"

#include <boost/json.hpp>
#include <cstdlib>
#include <utility>

#include "base/base64.h"
#include "base/printable.h"
#include "base/utc_text.h"
#include "kube/json_field.h"
#include "network/json_document.h"
#include "process/run_program.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr ProcessLimits kLimits{.time = std::chrono::seconds(60), .output = 1 << 20};

// What the plugin is told by the variable KUBERNETES_EXEC_INFO.
std::string exec_info(const ExecCommand& command, const KubeCluster& cluster,
                      const std::string& ca) {
  json::object spec{{"interactive", false}};
  if (command.cluster_info) {
    json::object about{{"server", cluster.server}};
    if (!cluster.certificate_name.empty()) {
      about["tls-server-name"] = cluster.certificate_name;
    }
    if (!cluster.proxy_url.empty()) {
      about["proxy-url"] = cluster.proxy_url;
    }
    if (!cluster.verify) {
      about["insecure-skip-tls-verify"] = true;
    }
    if (!ca.empty()) {
      about["certificate-authority-data"] = base64_encode(ca);
    }
    spec["cluster"] = std::move(about);
  }
  return json::serialize(json::object{
      {"apiVersion", command.api_version}, {"kind", "ExecCredential"}, {"spec", std::move(spec)}});
}

}  // namespace

Result<ExecCredential> parse_exec_credential(std::string_view text,
                                             const std::string& api_version) {
  const Result<json::value> document = parse_json(text, "its output");
  if (!document) {
    return fail("its output is not JSON");  // where would be a part of it
  }
  const json::object* const object = document->if_object();
  if (object == nullptr || text_field(*object, "kind") != "ExecCredential") {
    return fail("its output is no ExecCredential");
  }
  if (text_field(*object, "apiVersion") != api_version) {
    return fail("its answer is of version \"{}\" instead of {}",
                printable(text_field(*object, "apiVersion")), api_version);
  }
  const json::value* const status = object->if_contains("status");
  if (status == nullptr || !status->is_object()) {
    return fail("its answer has no status");
  }
  const json::object& fields = status->get_object();
  ExecCredential out{.token = text_field(fields, "token")};
  out.certificate.text = text_field(fields, "clientCertificateData");
  out.key.text = text_field(fields, "clientKeyData");
  if (out.certificate.text.empty() != out.key.text.empty()) {
    return fail("its answer has one of certificate and key without the other");
  }
  if (out.token.empty() && out.key.text.empty()) {
    return fail("its answer has neither token nor certificate");
  }
  if (!out.key.text.empty()) {
    out.certificate.name = "clientCertificateData";
    out.key.name = "clientKeyData";
  }
  if (const std::string time = text_field(fields, "expirationTimestamp"); !time.empty()) {
    out.expires = parse_utc_text(time);
    if (!out.expires) {
      return fail("its expirationTimestamp \"{}\" is no time", printable(time));
    }
  }
  return out;
}

ExecPlugin::ExecPlugin(ExecCommand command, const KubeCluster& cluster)
    : command_(std::move(command)), cluster_(cluster) {}

// Also where the run is cancelled: then it leaves no answer, and who waits runs the program
// himself.
class ExecPlugin::Running {
 public:
  explicit Running(ExecPlugin& plugin) : plugin_(plugin) { plugin_.running_ = true; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    plugin_.running_ = false;
    plugin_.ended_.notify();
  }

 private:
  ExecPlugin& plugin_;
};

Task<Result<ExecCredential>> ExecPlugin::credential(bool fresh) {
  const bool is_answered = running_;  // by the run that others wait for
  while (running_) {
    co_await ended_.wait();
  }
  const bool usable = last_ && last_->has_value() && !fresh &&
                      ((*last_)->expires.value_or(std::chrono::system_clock::time_point::max()) >
                       std::chrono::system_clock::now());
  if (!last_ || (!is_answered && !usable)) {
    last_.reset();
    const Running running(*this);
    last_ = co_await run();
  }
  co_return *last_;
}

Task<Result<ExecCredential>> ExecPlugin::run() {
  const Result<Pem> ca = command_.cluster_info ? cluster_.ca.read() : Result<Pem>();
  if (!ca) {
    co_return std::unexpected(ca.error());
  }
  const char* const folders = std::getenv("PATH");
  const std::optional<std::string> path =
      find_program(command_.command, folders == nullptr ? "" : folders);
  const std::string hint =
      command_.install_hint.empty() ? "" : "; " + printable(command_.install_hint);
  if (!path) {
    co_return fail("exec plugin {} is not in PATH{}", printable(command_.command), hint);
  }
  Program::Command command{.path = *path, .arguments = command_.arguments, .limits = kLimits};
  command.variables = command_.environment;
  command.variables.emplace_back("KUBERNETES_EXEC_INFO", exec_info(command_, cluster_, ca->text));
  std::string failure;
  try {
    const ProcessOutput output = co_await run_program(std::move(command));
    if (output.status == 0) {
      Result<ExecCredential> answer = parse_exec_credential(output.out, command_.api_version);
      co_return answer ? answer : fail("exec plugin {}: {}", printable(*path), answer.error().text);
    }
    failure = fmt::format("exec plugin {} ended with status {}: {}", printable(*path),
                          output.status, printable(output.err));
  } catch (const ProcessError& error) {
    failure = fmt::format("exec plugin: {}{}", printable(error.what()), hint);
  }
  co_return fail("{}", failure);
}

}  // namespace flannel
