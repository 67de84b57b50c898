#include "kube/own_node_reader.h"

#include <chrono>
#include <vector>

namespace flannel {
namespace {

using std::chrono::steady_clock;

// How long the watch of a Node may say nothing before the Node is asked for all the same.
constexpr std::chrono::minutes kMostOwnSilence{1};
constexpr std::chrono::seconds kBetweenCalls{1};  // of `on_wait`

}  // namespace

Task<std::optional<NodeObject>> OwnNodeReader::ask() {
  co_await own_.learn_name();
  co_return co_await api_->get(own_.name());
}

// What was last is given up here, so that nobody else ends a watch that is being read.
Task<OwnNodeReader::Reading> OwnNodeReader::next() {
  Last last = std::move(last_);
  last_ = std::monostate();
  if (Kept* const kept = std::get_if<Kept>(&last)) {
    co_return Reading{.node = std::move(kept->node), .watch = {}};
  }
  if (Refused* const refused = std::get_if<Refused>(&last)) {
    co_return co_await changed(std::move(*refused));
  }
  std::optional<NodeObject> node = co_await ask();
  co_return Reading{.node = std::move(node), .watch = {}};
}

void OwnNodeReader::refuse(Reading reading) {
  last_.emplace<Refused>(reading.node ? std::move(reading.node->version) : "",
                         std::move(reading.watch));
}

Task<OwnNodeReader::Reading> OwnNodeReader::changed(Refused refused) {
  std::optional<NodeStream> watch = std::move(refused.watch);
  if (!watch) {
    watch.emplace(co_await api_->watch_one(own_.name()));
  }
  const Deadline end = steady_clock::now() + kMostOwnSilence;
  for (bool goes_on = true; goes_on && steady_clock::now() < end;) {
    on_wait_();
    std::vector<NodeEvent> events;
    try {
      std::optional<std::vector<NodeEvent>> read =
          co_await watch->read(steady_clock::now() + kBetweenCalls);
      goes_on = read.has_value();
      events = std::move(read).value_or(std::vector<NodeEvent>());
    } catch (const DeadlineExceeded&) {
      continue;
    }
    const NodeEvent* news = nullptr;  // the last one counts
    for (const NodeEvent& event : events) {
      const bool is_ours = event.node.name == own_.name();
      news = is_ours && event.node.version != refused.version ? &event : news;
      goes_on = goes_on && event.type != NodeEvent::Type::error;
    }
    if (news != nullptr) {
      const bool is_gone = news->type == NodeEvent::Type::deleted;
      co_return Reading{.node = is_gone ? std::nullopt : std::optional(news->node),
                        .watch = std::move(watch)};
    }
  }
  std::optional<NodeObject> node = co_await ask();
  co_return Reading{.node = std::move(node), .watch = {}};
}

}  // namespace flannel
