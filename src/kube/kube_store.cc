#include "kube/kube_store.h"

#include <chrono>
#include <stdexcept>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"
#include "kube/node_annotations.h"
#include "kube/node_api.h"
#include "kube/node_watch.h"
#include "kube/own_node.h"
#include "store/file_watch.h"

namespace flannel {
namespace {

constexpr int kTries = 5;  // against others who write at the same time
// How long a watch of our own Node may say nothing before the Node is asked for all the same.
constexpr std::chrono::minutes kMostOwnSilence{1};
constexpr std::chrono::seconds kBetweenFileLooks{1};  // at net-conf.json meanwhile

class KubeStore : public LeaseStore {
 public:
  KubeStore(std::unique_ptr<ApiClient> client, KubeOptions options,
            WatchAttempts::OnTrouble on_trouble)
      : options_(std::move(options)),
        on_trouble_(std::move(on_trouble)),
        api_(std::make_shared<NodeApi>(std::move(client), options_.annotation_prefix)),
        own_(options_.node_name,
             [api = api_, pod = std::pair(options_.pod_namespace, options_.pod_name)] {
               return api->node_of_pod(pod.first, pod.second);
             }) {}

  std::string name() const override { return api_->name(); }
  Task<std::optional<std::string>> config() override;
  Result<NetworkConfig> parse_config(const std::string& text) const override {
    return parse_network_config(text, ConfigChecks::kube);
  }
  Task<Result<std::string>> next_config(std::optional<std::string> last) override {
    Result<std::string> text = co_await next_text(options_.net_config_path, std::move(last));
    co_return text ? std::move(text) : fail("failed to read net conf: {}", text.error().text);
  }
  Task<Result<NodeFacts>> facts() override;
  Task<Result<Lease>> acquire(AcquireRequest request) override;
  Task<Result<Lease>> renew(Lease lease) override;
  Task<Result<void>> on_ready() override;
  void host_changed() override { api_->host_changed(); }
  std::unique_ptr<LeaseWatch> watch() override {
    return std::make_unique<NodeWatch>(api_, own_, seen_, on_trouble_, NodeWatch::Timing());
  }

 private:
  Task<Result<Lease>> take_subnets(AcquireRequest request);
  Task<Result<NodeObject>> own_node();
  Task<std::optional<NodeObject>> changed_node();
  void note_use(bool is_of_use);
  Task<Result<NodeObject>> publish(NodeObject node, LeaseAttrs attrs);
  Result<LeaseKey> own_subnets(const NodeObject& node, const NetworkConfig& network) const;

  KubeOptions options_;
  WatchAttempts::OnTrouble on_trouble_;
  std::shared_ptr<NodeApi> api_;
  OwnNode own_;
  std::string seen_;  // the newest version that a watch has seen
  // Our own Node as config() has read it, for who needs it next.
  std::optional<NodeObject> fresh_;
  std::string net_conf_;  // as config() has read it; empty: it has not
  // Our Node was of no use as of `read_version_` (empty: it was not there), and is followed.
  bool is_useless_ = false;
  std::string read_version_;
  std::optional<NodeStream> own_stream_;
  std::optional<std::string> network_unavailable_;  // as our Node had it last
  bool was_ready_ = false;
};

// The file is there without the API. That one has to answer as well, since where it does not, the
// daemon goes on from what it knew last.
Task<std::optional<std::string>> KubeStore::config() {
  Result<std::string> text = read_file(options_.net_config_path);
  if (!text) {
    throw std::runtime_error(fmt::format("failed to read net conf: {}", text.error().text));
  }
  co_await own_.learn_name();
  fresh_ = co_await api_->get(own_.name());
  note_use(true);  // as it was before does not matter any more
  net_conf_ = *text;
  co_return std::move(*text);
}

// Error: there is none.
Task<Result<NodeObject>> KubeStore::own_node() {
  std::optional<NodeObject> node = std::exchange(fresh_, {});
  if (!node) {
    co_await own_.learn_name();
    Task<std::optional<NodeObject>> read = is_useless_ ? changed_node() : api_->get(own_.name());
    node = co_await std::move(read);
  }
  read_version_ = node ? node->version : "";
  if (!node) {
    co_return fail("there is no Node \"{}\" (yet)", printable(own_.name()));
  }
  network_unavailable_ = node->network_unavailable;
  co_return std::move(*node);
}

// Our Node when it has changed: who waits for a podCIDR asks the server for nothing meanwhile, but
// for once a minute. What is wrong may be the network, too.
Task<std::optional<NodeObject>> KubeStore::changed_node() {
  if (!own_stream_) {
    own_stream_.emplace(co_await api_->watch_one(own_.name()));
  }
  using Clock = std::chrono::steady_clock;
  const Deadline silent = Clock::now() + kMostOwnSilence;
  for (bool goes_on = true; goes_on && Clock::now() < silent;) {
    const Result<std::string> net_conf = read_file(options_.net_config_path);
    if (net_conf && !net_conf_.empty() && *net_conf != net_conf_) {
      throw ConfigChanged();
    }
    try {
      std::optional<std::vector<NodeEvent>> events =
          co_await own_stream_->read(Clock::now() + kBetweenFileLooks);
      goes_on = events.has_value();
      const std::vector<NodeEvent> all = std::move(events).value_or(std::vector<NodeEvent>());
      const NodeEvent* news = nullptr;  // the last one counts
      for (const NodeEvent& event : all) {
        const bool is_ours = event.node.name == own_.name();
        news = is_ours && event.node.version != read_version_ ? &event : news;
        goes_on = goes_on && event.type != NodeEvent::Type::error;
      }
      if (news != nullptr) {
        const bool is_gone = news->type == NodeEvent::Type::deleted;
        co_return is_gone ? std::nullopt : std::optional(news->node);
      }
    } catch (const DeadlineExceeded&) {  // nothing has happened
    } catch (...) {
      own_stream_.reset();
      throw;
    }
  }
  own_stream_.reset();
  std::optional<NodeObject> node = co_await api_->get(own_.name());
  co_return node;
}

// Whether our Node, as it was read last, may be as it has to be.
void KubeStore::note_use(bool is_of_use) {
  is_useless_ = !is_of_use;
  if (is_of_use) {
    own_stream_.reset();
  }
}

Task<Result<NodeFacts>> KubeStore::facts() {
  Result<NodeObject> node = co_await own_node();
  Result<NodeFacts> facts = node ? facts_of(node->annotations) : std::unexpected(node.error());
  note_use(facts.has_value());
  if (facts) {
    fresh_ = std::move(*node);
  }
  co_return facts;
}

// Of the enabled families. Error: why the node cannot have a subnet now.
Result<LeaseKey> KubeStore::own_subnets(const NodeObject& node,
                                        const NetworkConfig& network) const {
  Result<LeaseKey> subnets = subnets_of(node);
  const std::string name = printable(own_.name());
  if (!subnets) {
    return fail("node \"{}\": {}", name, subnets.error().text);
  }
  if (*subnets == LeaseKey{}) {
    return fail("node \"{}\" pod cidr not assigned", name);
  }
  for (const Family family : kFamilies) {
    std::optional<Prefix>& subnet = family == Family::v4 ? subnets->v4 : subnets->v6;
    const std::optional<FamilyConfig>& config = network.family(family);
    if (!config) {
      subnet.reset();
    } else if (!subnet) {
      return fail("{0} is enabled but node \"{1}\" has no {0} podCIDR", to_text(family), name);
    } else if (!config->network.contains(*subnet)) {
      return fail(
          "subnet \"{}\" specified in the flannel net config doesn't contain \"{}\" PodCIDR of the "
          "\"{}\" node",
          config->network.to_text(), subnet->to_text(), name);
    }
  }
  return subnets;
}

Task<Result<Lease>> KubeStore::acquire(AcquireRequest request) {
  Result<Lease> lease = co_await take_subnets(std::move(request));
  note_use(lease.has_value());
  co_return lease;
}

Task<Result<Lease>> KubeStore::take_subnets(AcquireRequest request) {
  Result<NodeObject> node = co_await own_node();
  if (!node) {
    co_return std::unexpected(node.error());
  }
  const Result<LeaseKey> subnets = own_subnets(*node, request.network);
  if (!subnets) {
    co_return std::unexpected(subnets.error());
  }
  const Result<NodeObject> published = co_await publish(std::move(*node), request.attrs);
  if (!published) {
    co_return std::unexpected(published.error());
  }
  co_return Lease{*subnets, std::move(request.attrs), std::nullopt};
}

// A Node that is not there, or not complete, is waited for; one that has other podCIDRs is another
// one, and so are we then.
Task<Result<Lease>> KubeStore::renew(Lease lease) {
  fresh_.reset();
  Result<NodeObject> node = co_await own_node();
  if (!node) {
    throw std::runtime_error(node.error().text);
  }
  const Result<LeaseKey> subnets = subnets_of(*node);
  if (!subnets || *subnets == LeaseKey{}) {
    throw std::runtime_error(fmt::format("node \"{}\" pod cidr not assigned", own_.name()));
  }
  for (const Family family : kFamilies) {
    if (lease.key.family(family) && lease.key.family(family) != subnets->family(family)) {
      co_return fail("the podCIDR of node \"{}\" is {} now, and was {}", printable(own_.name()),
                     subnets_text(*subnets), subnets_text(lease.key));
    }
  }
  const Result<NodeObject> published = co_await publish(std::move(*node), lease.attrs);
  if (!published) {
    throw std::runtime_error(published.error().text);
  }
  if (was_ready_) {  // a Node that was made again has the condition of a new one
    co_await on_ready();
  }
  lease.expiry.reset();
  co_return lease;
}

// Until the server's answer says that everything is as it should be.
Task<Result<NodeObject>> KubeStore::publish(NodeObject node, LeaseAttrs attrs) {
  for (int tries = 0; tries < kTries; ++tries) {
    const Result<AnnotationChanges> changes = changes_to(attrs, node.annotations);
    if (!changes) {
      co_return std::unexpected(changes.error());
    }
    own_.begin(attrs);
    if (changes->empty()) {
      own_.done(node);
      network_unavailable_ = node.network_unavailable;
      co_return node;
    }
    try {
      node = co_await api_->patch_status(own_.name(), annotations_patch(*changes, api_->prefix()));
    } catch (const ApiError& error) {
      if (error.status != 409) {
        throw;
      }
    }
  }
  throw std::runtime_error(
      fmt::format("the annotations of node \"{}\" do not stay as they are written", own_.name()));
}

Task<Result<void>> KubeStore::on_ready() {
  co_await own_.learn_name();
  if (options_.set_node_network_unavailable && network_unavailable_ != "False") {
    const NodeObject node = co_await api_->patch_status(
        own_.name(), network_available_patch(std::chrono::system_clock::now()));
    network_unavailable_ = node.network_unavailable;
    log_info("NetworkUnavailable of node {} is False", printable(own_.name()));
  }
  was_ready_ = true;
  co_return Result<void>();
}

}  // namespace

std::unique_ptr<LeaseStore> make_kube_store(std::unique_ptr<ApiClient> client, KubeOptions options,
                                            WatchAttempts::OnTrouble on_trouble) {
  return std::make_unique<KubeStore>(std::move(client), std::move(options), std::move(on_trouble));
}

}  // namespace flannel
