// An API server of Kubernetes that has Nodes alone: lists, watches, single ones and patches of
// them, as a real one does, until a test has it do otherwise.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/api_client.h"
#include "kube/node_object.h"
#include "test/support/fake_http2_server.h"

namespace flannel {

class FakeKubeApi {
 public:
  using Request = FakeHttp2Server::Request;
  using Reply = FakeHttp2Server::Reply;

  // `loop` outlives it.
  explicit FakeKubeApi(asio::io_context& loop);

  std::unique_ptr<ApiClient> client(asio::any_io_executor executor) const;
  std::string url() const { return server_.url(); }

  // A Node is there, or has changed; its version is the next one, and its UID `UID of NAME` where
  // it has none. Watches hear of it.
  void put(NodeObject node);
  void remove(const std::string& name);
  NodeObject node(const std::string& name) const { return nodes_.at(name); }
  const std::map<std::string, NodeObject>& nodes() const { return nodes_; }
  // What each Node has beside what we use, in metadata and the rest: managedFields, images, ….
  std::size_t padding_metadata = 0, padding_rest = 0;

  // What a request is answered with, where it is not to be as ever.
  std::function<std::optional<Reply>(const Request&)> instead;
  bool gzip = false;  // lists, where the client takes it
  static Reply status(int code, const std::string& reason, const std::string& message = "");

  std::uint64_t version = 100;
  // Watches from before are refused.
  void compact() { compacted_ = version; }
  void bookmark() { send("BOOKMARK", {.version = std::to_string(version)}); }
  void error(int code, const std::string& reason);
  void end_watches() { server_.send("", true); }
  void send_raw(std::string_view bytes) { server_.send(bytes); }

  // `GET /api/v1/nodes?watch=true…`, since the last look.
  std::vector<std::string> take_requests() { return std::exchange(requests_, {}); }
  unsigned connections() const { return server_.connections(); }

  // A list as it would be sent now, in protobuf; of the first `most` Nodes alone.
  std::string list_body(std::size_t most = SIZE_MAX) const;
  // Whether it is a list of Nodes.
  static bool is_list(const Request& request);
  static Reply list_reply(std::string body);

 private:
  enum class Form { metadata, whole, json };
  using Nodes = std::map<std::string, NodeObject>;

  std::string list_body(Nodes::const_iterator first, Nodes::const_iterator last) const;
  Reply answer(const Request& request);
  Reply answer_list(const Request& request, std::string_view query);
  Reply answer_watch(const Request& request, std::string_view query);
  Reply answer_patch(const Request& request, std::string name);
  std::string object(const NodeObject& node, Form form) const;
  std::string event(const std::string& type, const NodeObject& node) const;
  void send(const std::string& type, const NodeObject& node);

  Nodes nodes_;
  struct Past {
    std::uint64_t version;
    std::string type;
    NodeObject node;
  };
  std::deque<Past> history_;
  std::uint64_t compacted_ = 0;
  Form form_ = Form::metadata;  // of the last watch
  std::vector<std::string> requests_;
  FakeHttp2Server server_;
};

}  // namespace flannel
