#include "kube/node_watch.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "base/log.h"
#include "base/printable.h"
#include "rpc/bad_answer.h"

namespace flannel {
namespace {

// Answers that come within this time are waited for; of later ones the watch is not kept waiting,
// and they are looked for as often.
constexpr std::chrono::milliseconds kAnswerTime{100};

}  // namespace

// What we have is not to be followed any further; text: why.
struct NodeWatch::ListAgain : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Nodes that are asked for, a coroutine each. They may outlive the watch.
struct NodeWatch::Inquiries {
  struct Answer {
    std::string name;
    std::optional<NodeObject> node;  // nothing: the server has none of that name
    std::string failure;
  };

  explicit Inquiries(const asio::any_io_executor& executor) : came(executor) {}

  std::ptrdiff_t running = 0;
  std::vector<Answer> answers;
  Wake came;
};

Task<void> NodeWatch::ask_for(std::shared_ptr<NodeApi> api, std::shared_ptr<Inquiries> inquiries,
                              std::string name, std::string version) {
  Inquiries::Answer answer{.name = name, .node = {}, .failure = {}};
  try {
    answer.node = co_await api->get(std::move(name), std::move(version));
  } catch (const std::runtime_error& error) {
    answer.failure = error.what();
  }
  inquiries->answers.push_back(std::move(answer));
  --inquiries->running;
  inquiries->came.set();
}

Task<std::optional<LeaseUpdate>> NodeWatch::next(Deadline deadline) {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  for (;;) {
    if (!stream_) {
      attempts_.begin(Clock::now());
    }
    try {
      std::optional<LeaseUpdate> update = co_await try_next(deadline);
      co_return update;
    } catch (const ListAgain& reason) {
      log_info("{}: listing the nodes again", reason.what());
      listed_ = false;
      if (!attempts_.has_lasted(Clock::now()) && attempts_.lists_again(Clock::now())) {
        attempts_.set_trouble(reason.what());
      }
    } catch (const BadAnswer& error) {
      listed_ = !attempts_.is_stuck(version_, Clock::now()) && listed_;
      attempts_.set_trouble(error.what());
    } catch (const std::exception& error) {
      if (state.cancelled() != asio::cancellation_type::none) {
        throw;
      }
      attempts_.set_trouble(error.what());
    }
    stream_.reset();
    co_await sleep_for(attempts_.end(Clock::now()));
  }
}

Task<std::optional<LeaseUpdate>> NodeWatch::try_next(Deadline deadline) {
  for (;;) {
    if (!listed_) {
      LeaseUpdate snapshot = co_await list();
      co_return snapshot;
    }
    take_answers();
    if (stream_) {
      attempts_.settle(Clock::now(), table_.trouble());
    }
    LeaseUpdate update = take_update();
    if (update != LeaseUpdate()) {
      co_return update;
    }
    if (stream_ && stream_->is_whole && Clock::now() >= whole_until_) {
      end_stream();
    }
    if (!stream_) {
      co_await open();
      continue;
    }
    if (Clock::now() >= next_ask()) {
      co_await ask();
      continue;
    }
    const bool in_time = co_await read(deadline);
    if (!in_time) {
      co_return std::nullopt;
    }
  }
}

LeaseUpdate NodeWatch::take_update() {
  LeaseUpdate update = table_.take_changes();
  update.own = std::exchange(own_entry_, {});
  return update;
}

// Passes the Nodes on, and looks for our own.
class NodeWatch::Listing : public NodeList {
 public:
  Listing(NodeTable& table, const std::string& own_name) : table_(table), own_name_(own_name) {}

  void start() override {
    table_.clear(own_name_);
    own.reset();
  }
  void add(NodeObject node) override {
    if (node.name == own_name_) {
      table_.put_own(node);
      own = std::move(node);
    } else {
      table_.put(node);
    }
  }

  std::optional<NodeObject> own;

 private:
  NodeTable& table_;
  const std::string& own_name_;
};

Task<LeaseUpdate> NodeWatch::list() {
  stream_.reset();
  co_await own_.learn_name();
  Listing listing(table_, own_.name());
  version_ = co_await api_->list(seen_, listing);
  if (is_older_version(version_, seen_)) {
    own_.count_anew();
  }
  seen_ = version_;
  listed_ = true;
  own_entry_.reset();
  own_last_ = listing.own ? own_.classify(*listing.own) : own_.classify_gone(version_);
  LeaseUpdate update = table_.take_snapshot();
  update.own = own_last_;
  co_return update;
}

// The watch goes on from the last version seen. One of whole Nodes begins before those came whose
// podCIDRs are not known.
Task<void> NodeWatch::open() {
  const bool is_whole = Clock::now() < whole_until_;
  std::string from = version_;
  if (is_whole) {
    for (const auto& [name, node] : table_.unknown()) {
      from = is_older_version(node.before, from) ? node.before : from;
    }
  }
  std::string replayed = from == version_ ? "" : version_;
  try {
    NodeStream events = co_await api_->watch(std::move(from), is_whole);
    stream_.emplace(std::move(events), is_whole, std::move(replayed), Clock::now());
  } catch (const ApiError& error) {
    if (is_history_lost(error.status)) {
      throw ListAgain(error.what());
    }
    throw;
  }
  stream_->events.pass_over([this](const NodeDigest& node) { return pass_over(node); });
  attempts_.connected();
}

// Heartbeats are nearly all that comes, and wake nobody. As take(); false where that may do more.
bool NodeWatch::pass_over(const NodeDigest& node) {
  const bool is_news = node.version.empty() || !table_.has(node);
  if (!stream_->replayed.empty() || attempts_.has_trouble() || is_news) {
    return false;
  }
  attempts_.heard();
  version_ = node.version;
  seen_ = version_;
  stream_->last_heard = Clock::now();
  return true;
}

// The next one is opened at once.
void NodeWatch::end_stream() {
  stream_.reset();
  attempts_.begin(Clock::now());
}

Task<bool> NodeWatch::read(Deadline deadline) {
  const auto silent = [this] { return stream_->last_heard + timing_.most_silence; };
  const Deadline whole_until = stream_->is_whole ? whole_until_ : kNever;
  const Deadline answers = are_answers_due() ? Clock::now() + kAnswerTime : kNever;
  std::optional<std::vector<NodeEvent>> events;
  try {
    events = co_await stream_->events.read(std::min(
        {deadline, Deadline(silent()), next_ask(), answers, whole_until, attempts_.settles_at()}));
  } catch (const DeadlineExceeded&) {
    if (Clock::now() >= silent()) {
      throw ListAgain(api_->name() + " has said nothing for long");
    }
    co_return Clock::now() < deadline;
  }
  if (events) {
    // Bytes are no events: one that never ends is as good as none.
    stream_->last_heard = events->empty() ? stream_->last_heard : Clock::now();
    for (const NodeEvent& event : *events) {
      take(event);
    }
    co_return true;
  }
  // The server ends each watch some time (kube-apiserver, --min-request-timeout).
  if (!attempts_.has_lasted(Clock::now())) {
    throw std::runtime_error(api_->name() + " ended the watch at once");
  }
  end_stream();
  co_return true;
}

void NodeWatch::take(const NodeEvent& event) {
  using Type = NodeEvent::Type;
  const NodeObject& node = event.node;
  if (event.type == Type::error) {
    take_error(event.status);
  }
  attempts_.heard();
  // What is replayed has had its effect when it came as metadata, which did not say podCIDRs.
  const std::string& replayed = stream_->replayed;
  if (!replayed.empty() && (node.version == replayed || is_older_version(node.version, replayed))) {
    if (!node.pod_cidrs.empty()) {
      table_.learn(node, stream_->last_heard);
    }
    return;
  }
  std::string before = version_;
  if (!node.version.empty()) {
    seen_ = version_ = node.version;
  }
  if (event.type == Type::bookmark || event.type == Type::unknown) {
    return;
  }
  const bool is_gone = event.type == Type::deleted;
  if (node.name == own_.name()) {
    std::optional<OwnEntry> own = is_gone ? own_.classify_gone(node.version) : own_.classify(node);
    if (own && own != own_last_) {  // each event counts: between two alike ours may have been there
      own_last_ = own_entry_ = std::move(own);
    }
  } else if (is_gone) {
    table_.remove(node);
  } else {
    table_.put(node, {.at = stream_->last_heard, .before = std::move(before)});
  }
}

void NodeWatch::take_error(const ApiStatus& status) {
  const std::string text =
      fmt::format("{} ended the watch: {}", api_->name(), printable(status.message, kSentenceMost));
  if (is_history_lost(status.code)) {
    throw ListAgain(text);
  }
  throw std::runtime_error(text);
}

// Nodes that have been asked for without success do not count: each is asked for again at a time of
// its own.
bool NodeWatch::many_are_new() const {
  const auto is_new = [](const auto& node) {
    return node.second.wait == Clock::duration() && node.second.due != kNever;
  };
  return std::ranges::count_if(table_.unknown(), is_new) > kMostAsked;
}

bool NodeWatch::are_answers_due() const {
  return inquiries_ && inquiries_->running > 0;
}

NodeWatch::Clock::time_point NodeWatch::next_ask() const {
  if (!stream_->is_whole && many_are_new()) {
    return ask_at_;
  }
  if (inquiries_ && inquiries_->running >= kMostAsked) {
    return kNever;
  }
  Clock::time_point due = kNever;
  for (const auto& [name, node] : table_.unknown()) {
    due = std::min(due, node.due);
  }
  return std::max(due, ask_at_);
}

Task<void> NodeWatch::ask() {
  const Clock::time_point now = Clock::now();
  if (stream_->is_whole || !many_are_new()) {
    co_await ask_each(now);
    co_return;
  }
  log_info("{}: {}: watching whole nodes for their podCIDRs", api_->name(),
           counted(table_.unknown().size(), "new node"));
  whole_until_ = now + timing_.whole;
  ask_at_ = now + timing_.replay;
  end_stream();
}

Task<void> NodeWatch::ask_each(Clock::time_point now) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  if (!inquiries_) {
    inquiries_ = std::make_shared<Inquiries>(executor);
  }
  for (const auto& [name, node] : table_.unknown()) {
    if (node.due <= now && inquiries_->running < kMostAsked) {
      ++inquiries_->running;
      asio::co_spawn(executor, ask_for(api_, inquiries_, name, node.version), asio::detached);
      table_.set_asked(name);
    }
  }
  ask_at_ = now + timing_.collect;
  while (are_answers_due() && Clock::now() < now + kAnswerTime) {
    co_await inquiries_->came.wait(now + kAnswerTime);
  }
}

// One that knows nothing of a Node, or of another one alone, is behind the watch, or a proxy's; or
// the watch is still to say so.
void NodeWatch::take_answers() {
  if (!inquiries_) {
    return;
  }
  const Clock::time_point now = Clock::now();
  for (Inquiries::Answer& answer : std::exchange(inquiries_->answers, {})) {
    if (answer.node) {
      table_.learn(*answer.node, now);
    }
    const auto unknown = table_.unknown().find(answer.name);
    if (unknown == table_.unknown().end()) {
      continue;
    }
    std::string trouble = std::move(answer.failure);
    if (trouble.empty() && unknown->second.wait != Clock::duration()) {
      trouble = fmt::format("{} has not the Node \"{}\" that its watch tells of", api_->name(),
                            printable(answer.name));
    }
    table_.postpone(answer.name, now, std::move(trouble));
  }
}

}  // namespace flannel
