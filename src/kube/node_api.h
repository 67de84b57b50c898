// What we ask the API of Kubernetes about Nodes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/api_client.h"
#include "kube/event_frames.h"
#include "kube/node_name.h"
#include "kube/node_object.h"
#include "rpc/least_rate.h"

namespace flannel {

// What takes the Nodes of a list as they come.
class NodeList {
 public:
  virtual ~NodeList() = default;
  // The list begins, or begins anew.
  virtual void start() = 0;
  virtual void add(NodeObject node) = 0;
};

// A watch; dropping it ends it.
class NodeStream {
 public:
  NodeStream(Http2Stream stream, bool is_json, std::string prefix);

  // The events that came, which may be none; nothing where the server has ended the watch. Throws
  // DeadlineExceeded, after which the watch goes on with the next call, what Http2Stream does, and
  // BadAnswer, after which there is nothing more to be had of it.
  Task<std::optional<std::vector<NodeEvent>>> read(Deadline deadline);
  // What comes of a Node's metadata while no event waits for read() is shown to `is_done` at once.
  // Where that says true it has been dealt with: nobody is woken, and read() never sees it. From
  // then on the stream stays where it is.
  void pass_over(std::function<bool(const NodeDigest&)> is_done);

 private:
  PassedOver look_over(std::string_view bytes,
                       const std::function<bool(const NodeDigest&)>& is_done) const;

  Http2Stream stream_;
  bool is_json_;
  std::string prefix_;
  EventFrames frames_;
};

// No answer to a call within this time is a failure; and so are no bytes of a list.
inline constexpr std::chrono::seconds kApiCallTime{10};

// A list of more is taken for one without end.
inline constexpr std::size_t kMostNodes = 200'000;

// Throws as ApiClient does, and BadAnswer. Where the server, or a proxy before it, does not give
// what we would rather have (406, 415), it is asked for what it surely has from then on: whole
// Nodes instead of their metadata, then JSON, until the next list. Where we may not get Nodes one
// by one, they are listed one by one, until the next list as well.
class NodeApi {
 public:
  // `prefix` is that of our annotations.
  NodeApi(std::unique_ptr<ApiClient> client, std::string prefix, LeastRate least_rate = {})
      : client_(std::move(client)), prefix_(std::move(prefix)), least_rate_(least_rate) {}

  std::string name() const { return client_->name(); }
  const std::string& prefix() const { return prefix_; }
  void host_changed() { client_->host_changed(); }

  // find_node_name()
  Task<std::string> node_of_pod(std::string pod_namespace, std::string pod) {
    return find_node_name(*client_, std::move(pod_namespace), std::move(pod));
  }

  // All Nodes. `version` is what they are to be no older than; empty: any state that the server
  // has at hand will do. Returns as of which version they are. A server that cannot have it, since
  // its history is another one, is asked for what it has now.
  Task<std::string> list(std::string version, NodeList& list);
  // What happens after `version`: metadata, or whole Nodes where they are wanted.
  Task<NodeStream> watch(std::string version, bool whole = false) {
    return open_watch(std::move(version), whole, "");
  }
  // A whole Node as the server has it at hand, if it has one, and what happens to it after that.
  Task<NodeStream> watch_one(std::string name) { return open_watch("0", true, std::move(name)); }
  // A whole Node; as it is now or, which costs less, not older than `version`. Nothing: there is
  // none.
  Task<std::optional<NodeObject>> get(std::string name, std::string version = {});
  // Changes its status, metadata included: a strategic merge patch. Returns the Node after it.
  Task<NodeObject> patch_status(std::string name, std::string patch);

 private:
  enum class Form { metadata, whole, json };
  bool is_json() const { return form_ == Form::json; }
  // As of which version a page of a list is, and what asks for the one behind it.
  struct Page {
    std::size_t nodes = 0;
    std::string version;
    std::string more;
  };

  bool step_down(const ApiError& error, Form to);
  void check_type(const Http2Stream& stream) const;
  NodeObject read(std::string_view body) const;
  Task<std::string> list_pages(std::string query, NodeList& list);
  Task<Page> read_page(std::string query, NodeList& list);
  Task<std::optional<NodeObject>> list_one(std::string name);
  Task<NodeStream> open_watch(std::string version, bool whole, std::string name);

  std::unique_ptr<ApiClient> client_;
  std::string prefix_;
  const LeastRate least_rate_;  // of a list
  Form form_ = Form::metadata;
  bool may_get_ = true;
};

}  // namespace flannel
