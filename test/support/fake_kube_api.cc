#include "test/support/fake_kube_api.h"

#include <fmt/core.h>

#include <boost/json.hpp>
#include <protozero/pbf_writer.hpp>

#include "kube/gzip_fixture.h"

namespace flannel {
namespace {

namespace json = boost::json;
using protozero::pbf_writer;

const std::string kPrefix = "flannel.alpha.coreos.com/";
constexpr std::string_view kNodes = "/api/v1/nodes";

class FixedAccess : public ApiAccess {
 public:
  explicit FixedAccess(const std::string& url) : url_(url), endpoint_(*parse_endpoint(url)) {}
  std::string server() const override { return "http://kube.test"; }
  Task<Result<ApiTarget>> target(bool) override { co_return ApiTarget{.endpoint = endpoint_}; }

 private:
  std::string url_;
  Endpoint endpoint_;
};

std::string envelope(const std::string& api, const std::string& kind, const std::string& raw) {
  std::string out;
  pbf_writer unknown(out);
  pbf_writer type(unknown, 1);
  type.add_string(1, api);
  type.add_string(2, kind);
  type.commit();
  unknown.add_bytes(2, raw);
  return std::string("k8s\0", 4) + out;
}

std::string metadata_message(const NodeObject& node, std::size_t padding) {
  std::string out;
  pbf_writer writer(out);
  writer.add_string(1, node.name);
  writer.add_string(5, node.uid);
  writer.add_string(6, node.version);
  for (const auto& [name, value] : node.annotations) {
    pbf_writer entry(writer, 12);
    entry.add_string(1, kPrefix + name);
    entry.add_string(2, value);
  }
  writer.add_bytes(17, std::string(padding, 'm'));
  return out;
}

std::string node_message(const NodeObject& node, std::size_t metadata, std::size_t rest) {
  std::string out;
  pbf_writer writer(out);
  writer.add_message(1, metadata_message(node, metadata));
  pbf_writer spec(writer, 2);
  if (!node.pod_cidrs.empty()) {
    spec.add_string(1, node.pod_cidrs.front());
  }
  for (const std::string& cidr : node.pod_cidrs) {
    spec.add_string(7, cidr);
  }
  spec.commit();
  pbf_writer status(writer, 3);
  if (node.network_unavailable) {
    pbf_writer condition(status, 4);
    condition.add_string(1, "NetworkUnavailable");
    condition.add_string(2, *node.network_unavailable);
  }
  status.add_bytes(8, std::string(rest, 'i'));
  status.commit();
  return out;
}

json::value node_json(const NodeObject& node, bool whole) {
  json::object annotations;
  for (const auto& [name, value] : node.annotations) {
    annotations[kPrefix + name] = value;
  }
  json::object out{{"kind", whole ? "Node" : "PartialObjectMetadata"},
                   {"metadata",
                    {{"name", node.name},
                     {"uid", node.uid},
                     {"resourceVersion", node.version},
                     {"annotations", std::move(annotations)}}}};
  if (whole) {
    out["spec"] = {{"podCIDRs", json::array(node.pod_cidrs.begin(), node.pod_cidrs.end())}};
    if (node.network_unavailable) {
      out["status"] = {{"conditions",
                        {{{"type", "NetworkUnavailable"}, {"status", *node.network_unavailable}}}}};
    }
  }
  return out;
}

std::string_view parameter(std::string_view query, std::string_view name) {
  for (std::size_t at = 0; at <= query.size();) {
    const std::string_view each = query.substr(at, query.find('&', at) - at);
    if (each.starts_with(name) && each.substr(name.size()).starts_with('=')) {
      return each.substr(name.size() + 1);
    }
    at += each.size() + 1;
  }
  return {};
}

// Of `fieldSelector=metadata.name%3DNAME`.
std::string selected_name(std::string_view query) {
  const std::string_view selector = parameter(query, "fieldSelector");
  const std::size_t mark = selector.find("%3D");
  return mark == std::string_view::npos ? "" : std::string(selector.substr(mark + 3));
}

std::string frame(const std::string& message) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(message.size() >> shift);
  }
  return out + message;
}

FakeHttp2Server::Reply reply_of(std::string body, const std::string& type) {
  return {.headers = {{":status", "200"}, {"content-type", type}}, .body = std::move(body)};
}

}  // namespace

FakeKubeApi::FakeKubeApi(asio::io_context& loop)
    : server_(loop, [this](const Request& request) { return answer(request); }) {}

std::unique_ptr<ApiClient> FakeKubeApi::client(asio::any_io_executor executor) const {
  return std::make_unique<ApiClient>(std::move(executor),
                                     std::make_unique<FixedAccess>(server_.url()));
}

FakeKubeApi::Reply FakeKubeApi::status(int code, const std::string& reason,
                                       const std::string& message) {
  const json::value body = {
      {"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}};
  Reply reply = reply_of(json::serialize(body), "application/json");
  reply.headers.at(0).value = std::to_string(code);
  return reply;
}

std::string FakeKubeApi::object(const NodeObject& node, Form form) const {
  switch (form) {
    case Form::json:
      return json::serialize(node_json(node, true));
    case Form::whole:
      return envelope("v1", "Node", node_message(node, padding_metadata, padding_rest));
    case Form::metadata:
      break;
  }
  std::string raw;
  pbf_writer(raw).add_message(1, metadata_message(node, padding_metadata));
  return envelope("meta.k8s.io/v1", "PartialObjectMetadata", raw);
}

std::string FakeKubeApi::event(const std::string& type, const NodeObject& node) const {
  if (form_ == Form::json) {
    return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object(node, form_));
  }
  std::string out;
  pbf_writer writer(out);
  writer.add_string(1, type);
  pbf_writer(writer, 2).add_bytes(1, object(node, form_));
  return frame(out);
}

void FakeKubeApi::send(const std::string& type, const NodeObject& node) {
  server_.send(event(type, node));
}

void FakeKubeApi::error(int code, const std::string& reason) {
  std::string raw;
  pbf_writer status(raw);
  status.add_string(3, "as the test has it");
  status.add_string(4, reason);
  status.add_int32(6, code);
  std::string out;
  pbf_writer writer(out);
  writer.add_string(1, "ERROR");
  pbf_writer(writer, 2).add_bytes(1, envelope("v1", "Status", raw));
  server_.send(frame(out));
}

void FakeKubeApi::put(NodeObject node) {
  const auto known = nodes_.find(node.name);
  node.version = std::to_string(++version);
  node.uid = node.uid.empty() ? "UID of " + node.name : node.uid;
  node.whole = true;
  history_.push_back({version, known == nodes_.end() ? "ADDED" : "MODIFIED", node});
  nodes_[node.name] = node;
  send(history_.back().type, node);
}

void FakeKubeApi::remove(const std::string& name) {
  const auto known = nodes_.find(name);
  if (known == nodes_.end()) {
    return;
  }
  NodeObject node = known->second;
  nodes_.erase(known);
  node.version = std::to_string(++version);
  history_.push_back({version, "DELETED", node});
  send("DELETED", node);
}

FakeKubeApi::Reply FakeKubeApi::answer(const Request& request) {
  const std::string path(request.path());
  requests_.push_back(fmt::format("{} {}", request.method(), path));
  if (instead) {
    if (std::optional<Reply> reply = instead(request)) {
      return *reply;
    }
  }
  const std::size_t question = path.find('?');
  const std::string query = question == std::string::npos ? "" : path.substr(question + 1);
  std::string name = path.substr(0, question);
  if (name == kNodes) {
    return parameter(query, "watch") == "true" ? answer_watch(request, query)
                                               : answer_list(request, query);
  }
  name = name.substr(std::min(name.size(), kNodes.size() + 1));
  if (request.method() == "PATCH") {
    return answer_patch(request, name.substr(0, name.find('/')));
  }
  const auto found = nodes_.find(name);
  return found == nodes_.end()
             ? status(404, "NotFound", fmt::format("nodes \"{}\" not found", name))
             : reply_of(object(found->second, Form::whole), "application/vnd.kubernetes.protobuf");
}

std::string FakeKubeApi::list_body(std::size_t most) const {
  const auto count = static_cast<std::ptrdiff_t>(std::min(most, nodes_.size()));
  return list_body(nodes_.begin(), std::next(nodes_.begin(), count));
}

bool FakeKubeApi::is_list(const Request& request) {
  return request.method() == "GET" && request.path().starts_with("/api/v1/nodes?") &&
         !request.path().contains("watch=true") && !request.path().contains("fieldSelector");
}

FakeKubeApi::Reply FakeKubeApi::list_reply(std::string body) {
  return reply_of(std::move(body), "application/vnd.kubernetes.protobuf");
}

std::string FakeKubeApi::list_body(Nodes::const_iterator first, Nodes::const_iterator last) const {
  std::string list;
  pbf_writer writer(list);
  pbf_writer(writer, 1).add_string(2, std::to_string(version));
  for (; first != last; ++first) {
    writer.add_message(2, node_message(first->second, padding_metadata, padding_rest));
  }
  return envelope("v1", "NodeList", list);
}

FakeKubeApi::Reply FakeKubeApi::answer_list(const Request& request, std::string_view query) {
  const std::string_view wanted = parameter(query, "resourceVersion");
  if (!wanted.empty() && std::stoull(std::string(wanted)) > version) {
    Reply reply = status(504, "Timeout", "Too large resource version");
    reply.headers.push_back({"retry-after", "1"});
    return reply;
  }
  if (const std::string selected = selected_name(query); !selected.empty()) {
    const auto found = nodes_.find(selected);
    return reply_of(list_body(found, found == nodes_.end() ? found : std::next(found)),
                    "application/vnd.kubernetes.protobuf");
  }
  if (find_header(request.headers, "accept").starts_with("application/json")) {
    json::array items;
    const std::string_view after = parameter(query, "continue");
    const std::string_view limit = parameter(query, "limit");
    const std::size_t most = limit.empty() ? SIZE_MAX : std::stoull(std::string(limit));
    json::object metadata{{"resourceVersion", std::to_string(version)}};
    for (auto it = nodes_.upper_bound(std::string(after)); it != nodes_.end(); ++it) {
      if (items.size() == most) {
        metadata["continue"] = std::prev(it)->first;
        break;
      }
      items.push_back(node_json(it->second, true));
    }
    return reply_of(
        json::serialize(json::object{
            {"kind", "NodeList"}, {"metadata", std::move(metadata)}, {"items", std::move(items)}}),
        "application/json");
  }
  Reply reply = reply_of(list_body(), "application/vnd.kubernetes.protobuf");
  if (gzip && find_header(request.headers, "accept-encoding") == "gzip") {
    reply.headers.push_back({"content-encoding", "gzip"});
    reply.body = gzipped(std::move(reply.body));
  }
  return reply;
}

FakeKubeApi::Reply FakeKubeApi::answer_watch(const Request& request, std::string_view query) {
  const std::uint64_t from = std::stoull(std::string(parameter(query, "resourceVersion")));
  if (from != 0 && from < compacted_) {
    return status(410, "Expired", "too old resource version");
  }
  const std::string_view accept = find_header(request.headers, "accept");
  form_ = accept.starts_with("application/json")        ? Form::json
          : accept.contains("as=PartialObjectMetadata") ? Form::metadata
                                                        : Form::whole;
  Reply reply =
      reply_of("", form_ == Form::json ? "application/json"
                                       : "application/vnd.kubernetes.protobuf;stream=watch");
  reply.end = false;
  const std::string selected = selected_name(query);
  for (const auto& [name, node] : nodes_) {
    if (from == 0 && (selected.empty() || selected == name)) {  // any state, and what follows
      reply.body += event("ADDED", node);
    }
  }
  for (const Past& past : history_) {
    if (from != 0 && past.version > from) {
      reply.body += event(past.type, past.node);
    }
  }
  return reply;
}

FakeKubeApi::Reply FakeKubeApi::answer_patch(const Request& request, std::string name) {
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) {
    return status(404, "NotFound", fmt::format("nodes \"{}\" not found", name));
  }
  NodeObject node = found->second;
  const json::value patch = json::parse(request.body);
  if (const json::value* metadata = patch.as_object().if_contains("metadata")) {
    for (const auto& [key, value] : metadata->at("annotations").as_object()) {
      const std::string annotation(key.substr(kPrefix.size()));
      if (value.is_null()) {
        node.annotations.erase(annotation);
      } else {
        node.annotations[annotation] = value.as_string();
      }
    }
  }
  if (const json::value* status = patch.as_object().if_contains("status")) {
    node.network_unavailable = status->at("conditions").as_array().at(0).at("status").as_string();
  }
  put(std::move(node));
  return reply_of(object(nodes_.at(name), Form::whole), "application/vnd.kubernetes.protobuf");
}

}  // namespace flannel
