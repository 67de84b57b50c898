#include "kube/api_error.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/printable.h"
#include "kube/json_field.h"
#include "kube/protobuf_object.h"

namespace flannel {
namespace {

namespace json = boost::json;

using protobuf::bytes;
using protobuf::number;
using protobuf::text_of;

// Status (meta/v1/generated.proto): message 3, reason 4, code 6.
std::optional<ApiStatus> parse_protobuf_status(std::string_view body) {
  const ProtobufObject object = decode_protobuf_object(body);
  ApiStatus out;
  protobuf::each_field(kApiServer, "Status", object.raw, [&](protozero::pbf_reader& status) {
    switch (status.tag_and_type()) {
      case bytes(3):
        out.message = text_of(status);
        break;
      case bytes(4):
        out.reason = text_of(status);
        break;
      case number(6):
        out.code = status.get_int32();
        break;
      default:
        status.skip();
    }
  });
  return object.kind == "Status" ? std::optional(out) : std::nullopt;
}

std::optional<ApiStatus> parse_json_status(std::string_view body) {
  boost::system::error_code error;
  const json::value document = json::parse({body.data(), body.size()}, error);
  const json::object* const object = error ? nullptr : document.if_object();
  if (object == nullptr || text_field(*object, "kind") != "Status") {
    return std::nullopt;
  }
  ApiStatus out{.reason = text_field(*object, "reason"), .message = text_field(*object, "message")};
  if (const json::value* const code = object->if_contains("code")) {
    boost::system::error_code no_number;
    out.code = code->to_number<int>(no_number);
  }
  return out;
}

// Takes what is in front of `mark` from `text`, and the mark. Nothing where there is none.
std::optional<std::string_view> take_until(std::string_view& text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(at + mark.size());
  return out;
}

// `… User "NAME" cannot VERB resource "RESOURCE" in API group "" at the cluster scope: WHY`, as the
// API server's handlers word what authorizers deny (endpoints/handlers/responsewriters/errors.go).
std::optional<std::string> explain_denied(std::string_view message) {
  constexpr std::string_view kEnds[] = {"at the cluster scope", "in the namespace "};
  take_until(message, "User \"");
  const auto user = take_until(message, "\" cannot ");
  const auto verb = take_until(message, " resource \"");
  const auto resource = take_until(message, "\" in API group \"");
  if (!user || !verb || !resource) {
    return std::nullopt;
  }
  std::string out = fmt::format("the account {} may not {} {}", printable(*user), printable(*verb),
                                printable(*resource));
  const bool reads = *verb == "list" || *verb == "watch" || *verb == "get";
  if (user->starts_with("system:node:") && *resource == "nodes" && reads) {
    // AuthorizeNodeWithSelectors: the node authorizer no longer lets kubelets read other Nodes.
    return out +
           ": since Kubernetes 1.32 a kubelet's account may only read its own Node; use the "
           "service account of our manifest";
  }
  out += fmt::format(": no rule of a ClusterRole that is bound to it has the verb {} for {}",
                     printable(*verb), printable(*resource));
  for (const std::string_view end : kEnds) {
    const std::size_t why = message.find(": ", std::min(message.find(end), message.size()));
    if (why != std::string_view::npos) {
      return out + fmt::format(" ({})", printable(message.substr(why + 2), kSentenceMost));
    }
  }
  return out;
}

}  // namespace

std::optional<ApiStatus> parse_api_status(std::string_view body) {
  if (!body.starts_with(kProtobufMagic)) {
    return parse_json_status(body);
  }
  try {
    return parse_protobuf_status(body);
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

ApiError make_api_error(const std::string& what, int status, std::string_view body,
                        std::optional<std::chrono::seconds> retry_after) {
  const ApiStatus said = parse_api_status(body).value_or(
      ApiStatus{.reason = "", .message = std::string(body.substr(0, 4 * kPrintableMost))});
  std::string text = fmt::format("{}: HTTP status {}", what, status);
  if (!said.reason.empty()) {
    text += ", " + printable(said.reason);
  }
  const std::optional<std::string> denied =
      status == 403 ? explain_denied(said.message) : std::nullopt;
  if (denied) {
    text += ": " + *denied;
  } else if (!said.message.empty()) {
    text += ": " + printable(said.message, kSentenceMost);
  }
  if (status == 401) {
    text +=
        "; the API server does not know who we are: our token or certificate has expired, or "
        "is another cluster's";
  }
  return {status, printable(said.reason), text, retry_after};
}

}  // namespace flannel
