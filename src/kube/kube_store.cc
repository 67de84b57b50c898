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
#include "kube/own_node_reader.h"
#include "store/file_watch.h"

namespace flannel {
namespace {

// How often annotations are written that others change at the same time.
constexpr int kTries = 5;

// What its podCIDRs are. Error: they are not assigned yet, or make no sense.
Result<LeaseKey> assigned_subnets(const NodeObject& node) {
  Result<LeaseKey> subnets = subnets_of(node);
  const std::string name = printable(node.name);
  if (!subnets) {
    return fail("node \"{}\": {}", name, subnets.error().text);
  }
  return *subnets == LeaseKey{} ? fail("node \"{}\" pod cidr not assigned", name) : subnets;
}

// Those of the enabled families. Error: why the node cannot take part with them.
Result<LeaseKey> usable_subnets(const NodeObject& node, const NetworkConfig& network) {
  Result<LeaseKey> subnets = assigned_subnets(node);
  if (!subnets) {
    return subnets;
  }
  const std::string name = printable(node.name);
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
             }),
        reader_(api_, own_, [this] { check_config(); }) {}

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
  void check_config() const;
  Result<NodeObject> found(std::optional<NodeObject> node) const;
  Task<Result<Lease>> take_subnets(Result<NodeObject> node, AcquireRequest request);
  Task<Result<void>> publish(NodeObject node, LeaseAttrs attrs);

  KubeOptions options_;
  WatchAttempts::OnTrouble on_trouble_;
  std::shared_ptr<NodeApi> api_;
  OwnNode own_;
  OwnNodeReader reader_;
  std::string seen_;                                // the newest version that a watch has seen
  std::optional<std::string> config_;               // what config() returned last
  std::optional<std::string> network_unavailable_;  // as our Node had it when we wrote it last
  bool is_ready_ = false;                           // on_ready() has succeeded
};

// The file can be read without the API server. That has to answer all the same: where it does not,
// the daemon goes on from its last known state instead.
Task<std::optional<std::string>> KubeStore::config() {
  Result<std::string> text = read_file(options_.net_config_path);
  if (!text) {
    throw std::runtime_error(fmt::format("failed to read net conf: {}", text.error().text));
  }
  reader_.keep(co_await reader_.ask());
  config_ = *text;
  co_return std::move(*text);
}

// Another configuration may be able to use our Node as it is.
void KubeStore::check_config() const {
  const Result<std::string> text = read_file(options_.net_config_path);
  if (text && config_ && *text != *config_) {
    throw ConfigChanged();
  }
}

// Error: there is none.
Result<NodeObject> KubeStore::found(std::optional<NodeObject> node) const {
  return node ? Result<NodeObject>(std::move(*node))
              : fail("there is no Node \"{}\" (yet)", printable(own_.name()));
}

Task<Result<NodeFacts>> KubeStore::facts() {
  OwnNodeReader::Reading reading = co_await reader_.next();
  const Result<NodeObject> node = found(reading.node);
  Result<NodeFacts> facts = node ? facts_of(node->annotations) : std::unexpected(node.error());
  if (facts) {
    reader_.keep(std::move(reading.node));
  } else {
    reader_.refuse(std::move(reading));
  }
  co_return facts;
}

Task<Result<Lease>> KubeStore::acquire(AcquireRequest request) {
  OwnNodeReader::Reading reading = co_await reader_.next();
  Result<NodeObject> node = found(reading.node);
  Result<Lease> lease = co_await take_subnets(std::move(node), std::move(request));
  if (!lease) {
    reader_.refuse(std::move(reading));
  }
  co_return lease;
}

Task<Result<Lease>> KubeStore::take_subnets(Result<NodeObject> node, AcquireRequest request) {
  const Result<LeaseKey> subnets =
      node ? usable_subnets(*node, request.network) : std::unexpected(node.error());
  if (!subnets) {
    co_return std::unexpected(subnets.error());
  }
  const Result<void> published = co_await publish(std::move(*node), request.attrs);
  if (!published) {
    co_return std::unexpected(published.error());
  }
  co_return Lease{*subnets, std::move(request.attrs), std::nullopt};
}

// A Node that is not there, or has no podCIDR yet, is waited for. Where it has other podCIDRs than
// our lease, the lease is lost.
Task<Result<Lease>> KubeStore::renew(Lease lease) {
  std::optional<NodeObject> read = co_await reader_.ask();
  Result<NodeObject> node = found(std::move(read));
  const Result<LeaseKey> subnets = node ? assigned_subnets(*node) : std::unexpected(node.error());
  if (!subnets) {
    throw std::runtime_error(subnets.error().text);
  }
  for (const Family family : kFamilies) {
    if (lease.key.family(family) && lease.key.family(family) != subnets->family(family)) {
      co_return fail("the podCIDR of node \"{}\" is {} now, and was {}", printable(own_.name()),
                     subnets_text(*subnets), subnets_text(lease.key));
    }
  }
  const Result<void> published = co_await publish(std::move(*node), lease.attrs);
  if (!published) {
    throw std::runtime_error(published.error().text);
  }
  if (is_ready_) {  // a Node that was made again has the condition of a new one
    co_await on_ready();
  }
  lease.expiry.reset();
  co_return lease;
}

// Writes what the annotations lack of `attrs`, until an answer of the server has all of it. Error:
// an annotation for us that makes no sense. Throws where the Node was made again meanwhile: its
// podCIDRs are others.
Task<Result<void>> KubeStore::publish(NodeObject node, LeaseAttrs attrs) {
  const std::string uid = node.uid;
  for (int tries = 0; tries < kTries && node.uid == uid; ++tries) {
    const Result<AnnotationChanges> changes = changes_to(attrs, node.annotations);
    if (!changes) {
      co_return std::unexpected(changes.error());
    }
    if (changes->empty()) {
      own_.done(std::move(attrs), node);
      network_unavailable_ = node.network_unavailable;
      co_return Result<void>();
    }
    own_.begin(attrs);
    try {
      node = co_await api_->patch_status(own_.name(), annotations_patch(*changes, api_->prefix()));
    } catch (const ApiError& error) {
      if (error.status != 409) {
        throw;
      }
    }
  }
  throw std::runtime_error(
      node.uid == uid
          ? fmt::format("the annotations of node \"{}\" do not stay as they are written",
                        own_.name())
          : fmt::format("node \"{}\" was made again", own_.name()));
}

Task<Result<void>> KubeStore::on_ready() {
  co_await own_.learn_name();
  if (options_.set_node_network_unavailable && network_unavailable_ != "False") {
    const NodeObject node = co_await api_->patch_status(
        own_.name(), network_available_patch(std::chrono::system_clock::now()));
    network_unavailable_ = node.network_unavailable;
    log_info("NetworkUnavailable of node {} is False", printable(own_.name()));
  }
  is_ready_ = true;
  co_return Result<void>();
}

}  // namespace

std::unique_ptr<LeaseStore> make_kube_store(std::unique_ptr<ApiClient> client, KubeOptions options,
                                            WatchAttempts::OnTrouble on_trouble) {
  return std::make_unique<KubeStore>(std::move(client), std::move(options), std::move(on_trouble));
}

}  // namespace flannel
