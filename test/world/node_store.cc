#include <boost/asio/io_context.hpp>

#include "base/file.h"
#include "kube/kube_store.h"
#include "test/support/fake_kube_api.h"
#include "test/support/lease_nodes.h"
#include "test/world/world_store.h"

namespace flannel {
namespace {

using Reply = FakeKubeApi::Reply;
using Request = FakeKubeApi::Request;

const std::string kOwn = "own";

class NodeStore : public WorldStore {
 public:
  NodeStore(const std::string& config, const std::string& folder)
      : net_conf_(folder + "/net-conf.json") {
    if (!replace_file(net_conf_, config, 0644)) {
      throw std::runtime_error("cannot write " + net_conf_);
    }
    put_own({});
  }

  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return make_kube_store(api_.client(std::move(executor)),
                           {.net_config_path = net_conf_, .node_name = kOwn});
  }

  std::vector<Lease> leases() const override {
    std::vector<Lease> out;
    for (const auto& [name, node] : api_.nodes()) {
      const std::optional<Lease> lease = lease_of_node(node);
      if (name != kOwn && lease) {
        out.push_back(*lease);
      }
    }
    return out;
  }

  void put(const std::string& name, const Lease& lease) override {
    put_node(name, node_of_lease(name, lease));
  }
  void remove(const std::string& name, const LeaseKey&) override { api_.remove(name); }

  void change(Story& story, const Lease* own) override {
    switch (story.below(12)) {
      case 0:
        story.tell("the API server is away");
        api_.instead = [](const Request&) { return Reply{.headers = {}, .hang_up = true}; };
        return api_.end_watches();
      case 1:
        story.tell("the API server cannot serve");
        api_.instead = [](const Request&) { return FakeKubeApi::status(500, "InternalError"); };
        return api_.end_watches();
      case 2:
        story.tell("the API server is back");
        api_.instead = {};
        return;
      case 3:
        story.tell("events are lost: the watch cache is compacted");
        api_.compact();
        return story.below(2) == 0 ? api_.end_watches() : api_.error(410, "Expired");
      case 4:
        story.tell("a watch ends");
        return api_.end_watches();
      case 5:
        return change_peer(story);
      case 6:
        story.tell("a Node that says nonsense");
        return api_.put({.name = "nonsense",
                         .pod_cidrs = {"10.5.99.0/24"},
                         .annotations = {{"kube-subnet-manager", "true"}, {"backend-data", "{"}}});
      case 7:
        return change_late_node(story);
      case 8:
      case 9:
        return lie(story);
      default:
        return own != nullptr ? change_own(story) : void();
    }
  }

  // What a list left out is not said by a watch either.
  void recover() override {
    api_.instead = {};
    list_again();
    put_own(api_.nodes().contains(kOwn) ? api_.node(kOwn).annotations : Annotations());
  }

  void run() override {
    loop_.restart();
    loop_.poll();
  }
  std::chrono::microseconds turn() const override { return std::chrono::microseconds(200); }

 private:
  void list_again() {
    ++api_.version;
    api_.compact();
    api_.end_watches();
  }

  // The next list lacks Nodes, or its end.
  void lie(Story& story) {
    const bool is_cut = story.below(2) == 0;
    const std::size_t most = story.below(static_cast<std::uint32_t>(api_.nodes().size()) + 1);
    story.tell(is_cut ? "a list ends too soon" : fmt::format("a list has {} Nodes alone", most));
    api_.instead = [this, is_cut, most,
                    is_told = false](const Request& request) mutable -> std::optional<Reply> {
      if (!FakeKubeApi::is_list(request) || std::exchange(is_told, true)) {
        return std::nullopt;
      }
      std::string body = api_.list_body(is_cut ? SIZE_MAX : most);
      body.resize(is_cut ? body.size() * 2 / 3 : body.size());
      return FakeKubeApi::list_reply(std::move(body));
    };
    list_again();
  }

  // A Node of that name is another one each time it is made.
  void put_node(const std::string& name, NodeObject node) {
    node.uid = api_.nodes().contains(name) ? api_.node(name).uid : fmt::format("{}", ++made_);
    api_.put(std::move(node));
  }
  void put_own(Annotations annotations) {
    put_node(kOwn, {.name = kOwn,
                    .pod_cidrs = {"10.5.200.0/24", "fc00:5:0:c8::/64"},
                    .annotations = std::move(annotations)});
  }

  // Its podCIDR comes when it pleases.
  void change_late_node(Story& story) {
    const bool is_there = api_.nodes().contains("late");
    if (is_there && !api_.node("late").pod_cidrs.empty()) {
      story.tell("the late Node leaves");
      return api_.remove("late");
    }
    story.tell(is_there ? "the late Node gets its podCIDR" : "a Node without podCIDR");
    const Lease lease{
        *parse_lease_key("10.5.95.0-24"),
        *parse_lease_attrs(R"({"PublicIP":"198.18.0.95","BackendType":"vxlan",)"
                           R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:95"}})"),
        {}};
    NodeObject node = node_of_lease("late", lease);
    if (!is_there) {
      node.pod_cidrs.clear();
    }
    put_node("late", std::move(node));
  }

  // What its daemon published is taken away, until it changes again.
  void change_peer(Story& story) {
    for (const auto& [name, node] : api_.nodes()) {
      if (name != kOwn && !node.annotations.empty()) {
        story.tell("the annotations of " + name + " are removed");
        NodeObject bare = node;
        bare.annotations.clear();
        return api_.put(std::move(bare));
      }
    }
  }

  void change_own(Story& story) {
    const bool is_there = api_.nodes().contains(kOwn);
    switch (story.below(5)) {
      case 0:
        story.tell("our Node is deleted");
        return api_.remove(kOwn);
      case 1:
        story.tell("our Node is made again");
        api_.remove(kOwn);
        return put_own({});
      case 2:
        story.tell("our Node is made again, without a podCIDR yet");
        api_.remove(kOwn);
        return put_node(kOwn, {.name = kOwn});
      case 3:
        story.tell("our annotations are removed");
        return put_own({});
      default:
        story.tell("our annotations are altered");
        Annotations annotations = is_there ? api_.node(kOwn).annotations : Annotations();
        annotations["public-ip"] = "198.18.7.7";
        put_own(std::move(annotations));
    }
  }

  asio::io_context loop_;
  FakeKubeApi api_{loop_};
  std::string net_conf_;
  unsigned made_ = 0;
};

}  // namespace

std::unique_ptr<WorldStore> make_node_store(const std::string& config, const std::string& folder) {
  return std::make_unique<NodeStore>(config, folder);
}

}  // namespace flannel
