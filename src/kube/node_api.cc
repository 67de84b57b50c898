#include "kube/node_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "base/percent.h"
#include "base/printable.h"
#include "kube/gunzip.h"
#include "kube/node_json.h"
#include "kube/node_messages.h"
#include "rpc/bad_answer.h"

namespace flannel {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kNodes = "/api/v1/nodes";
constexpr const char* kProtobuf = "application/vnd.kubernetes.protobuf";
constexpr const char* kMetadata =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
constexpr const char* kJson = "application/json";
constexpr const char* kEither = "application/vnd.kubernetes.protobuf, application/json";
constexpr const char* kJsonPage = "limit=500";  // Nodes; protobuf needs no pages
// Until a list begins to come: a server with many nodes takes longer.
constexpr std::chrono::seconds kListTime{60};
// Of a list in protobuf, and of a page in JSON, which is held in memory.
constexpr std::uint64_t kMostListBytes = 4ULL << 30;
constexpr std::size_t kMostPageBytes = 64 << 20;

Deadline call_time() {
  return steady_clock::now() + kApiCallTime;
}

std::string node_path(std::string_view name) {
  return fmt::format("{}/{}", kNodes, percent_encode(name));
}

std::string selector(std::string_view name) {
  return "fieldSelector=metadata.name%3D" + percent_encode(name);
}

// The server has not the state that was asked for, and will not have it: that is lost, or its
// history has not come so far (504).
bool has_other_history(const ApiError& error) {
  return is_history_lost(error.status) || error.status == 504;
}

// The one Node of a list.
class One : public NodeList {
 public:
  void start() override { node.reset(); }
  void add(NodeObject found) override { node = std::move(found); }
  std::optional<NodeObject> node;
};

// The next bytes of a list; empty at its end.
Task<std::string> read_part(Http2Stream& stream, Progress& progress) {
  std::string part;
  try {
    part = co_await stream.read(std::min(call_time(), progress.deadline()));
  } catch (const DeadlineExceeded&) {
    throw DeadlineExceeded(progress.complaint("the list of nodes", steady_clock::now()));
  }
  progress.add(part.size(), steady_clock::now());
  co_return part;
}

// Calls `on_part` with the body as it comes, unpacked.
Task<void> read_body(Http2Stream& stream, LeastRate least_rate, std::uint64_t most,
                     std::function<void(std::string_view)> on_part) {
  const std::string_view encoding = find_header(stream.headers(), "content-encoding");
  if (!encoding.empty() && encoding != "gzip" && encoding != "identity") {
    throw BadAnswer(fmt::format("the API server answers in encoding \"{}\"", printable(encoding)));
  }
  std::optional<Gunzip> gunzip;
  if (encoding == "gzip") {
    gunzip.emplace(most, on_part);
  }
  Progress progress(least_rate, steady_clock::now());
  for (std::uint64_t size = 0;;) {
    const std::string part = co_await read_part(stream, progress);
    if (part.empty()) {
      break;
    }
    size += part.size();
    if (size > most) {
      throw BadAnswer(fmt::format("the API server sent over {} MB", most >> 20));
    }
    decode_answer([&] { gunzip ? gunzip->feed(part) : on_part(part); });
  }
  if (gunzip) {
    decode_answer([&] { gunzip->finish(); });
  }
}

}  // namespace

NodeStream::NodeStream(Http2Stream stream, bool is_json, std::string prefix)
    : stream_(std::move(stream)),
      is_json_(is_json),
      prefix_(std::move(prefix)),
      frames_(is_json ? EventFrames::Form::lines : EventFrames::Form::lengths) {}

Task<std::optional<std::vector<NodeEvent>>> NodeStream::read(Deadline deadline) {
  const std::string part = co_await stream_.read(deadline);
  if (part.empty()) {
    co_return std::nullopt;
  }
  std::vector<NodeEvent> events;
  decode_answer([&] {
    frames_.feed(part, [&](std::string_view frame) {
      events.push_back(is_json_ ? parse_node_event(frame, prefix_)
                                : decode_node_event(frame, prefix_));
    });
  });
  co_return events;
}

void NodeStream::pass_over(std::function<bool(const NodeDigest&)> is_done) {
  if (!is_json_) {
    stream_.pass_over([this, is_done = std::move(is_done)](std::string_view bytes) {
      return look_over(bytes, is_done);
    });
  }
}

// What cannot be read is for read() to say.
PassedOver NodeStream::look_over(std::string_view bytes,
                                 const std::function<bool(const NodeDigest&)>& is_done) const {
  std::size_t done = 0;
  bool is_next_done = !frames_.partial();
  while (is_next_done) {
    try {
      is_next_done = false;
      const std::size_t length = frames_.take(bytes.substr(done), [&](std::string_view frame) {
        const std::optional<NodeDigest> node = decode_change(frame, prefix_);
        is_next_done = node && is_done(*node);
      });
      if (length == 0) {
        return {.bytes = done, .is_incomplete = true};
      }
      done += is_next_done ? length : 0;
    } catch (const std::runtime_error&) {
      break;
    }
  }
  return {.bytes = done};
}

// Whether it is to be asked again, for less. Where that is not to be had either, what we would
// rather have was not what it is about: a proxy's page is in none of the forms.
bool NodeApi::step_down(const ApiError& error, Form to) {
  if (error.status != 406 && error.status != 415) {
    return false;
  }
  const bool is_less = form_ < to;
  form_ = is_less ? to : Form::metadata;
  return is_less;
}

// An answer in another form is as good as none.
void NodeApi::check_type(const Http2Stream& stream) const {
  const std::string_view type = find_header(stream.headers(), "content-type");
  if (!type.starts_with(is_json() ? kJson : kProtobuf)) {
    throw ApiError(406, "", fmt::format("{} answers in \"{}\"", name(), printable(type)));
  }
}

NodeObject NodeApi::read(std::string_view body) const {
  return body.starts_with('{') ? parse_node(body, prefix_) : decode_node(body, prefix_);
}

Task<std::string> NodeApi::list(std::string version, NodeList& list) {
  form_ = Form::metadata;  // who could not give it may be gone
  may_get_ = true;         // who may not may have been given the right
  bool as_it_is_now = false;
  for (;;) {
    // What the server has at hand comes at once and whole, which JSON is not to do.
    std::string query;
    if (is_json()) {
      query = kJsonPage;
    } else if (!as_it_is_now) {
      query = version.empty()
                  ? "resourceVersion=0"
                  : "resourceVersionMatch=NotOlderThan&resourceVersion=" + percent_encode(version);
    }
    try {
      co_return co_await list_pages(std::move(query), list);
    } catch (const ApiError& error) {
      if (!step_down(error, Form::json) &&
          !(has_other_history(error) && !std::exchange(as_it_is_now, true))) {
        throw;
      }
    }
  }
}

Task<std::string> NodeApi::list_pages(std::string query, NodeList& list) {
  list.start();
  std::size_t nodes = 0;
  std::string asked_for;  // the token of the page
  for (std::string next = query;;) {
    Page page = co_await read_page(std::move(next), list);
    if (page.more.empty()) {
      co_return page.version;
    }
    nodes += page.nodes;
    if (page.nodes == 0 || page.more == asked_for || nodes > kMostNodes) {
      throw BadAnswer(name() + " sends a list without end");
    }
    asked_for = page.more;
    next = fmt::format("{}continue={}", is_json() ? std::string(kJsonPage) + "&" : "",
                       percent_encode(page.more));
  }
}

Task<NodeApi::Page> NodeApi::read_page(std::string query, NodeList& list) {
  ApiRequest request{.path = fmt::format("{}?{}", kNodes, query),
                     .accept = is_json() ? kJson : kProtobuf,
                     .gzip = true};
  Http2Stream stream = co_await client_->open(std::move(request), steady_clock::now() + kListTime);
  check_type(stream);
  Page out;
  const auto add = [&](NodeObject node) {
    ++out.nodes;
    list.add(std::move(node));
  };
  if (is_json()) {
    std::string text;
    co_await read_body(stream, least_rate_, kMostPageBytes,
                       [&](std::string_view part) { text += part; });
    NodeListPage page;
    decode_answer([&] { page = parse_node_list(text, prefix_); });
    std::ranges::for_each(page.nodes, add);
    out.version = std::move(page.version);
    out.more = std::move(page.more);
  } else {
    NodeListDecoder decoder(prefix_, add);
    co_await read_body(stream, least_rate_, kMostListBytes,
                       [&](std::string_view part) { decoder.feed(part); });
    decode_answer([&] { decoder.finish(); });
    out.version = decoder.version();
    out.more = decoder.more();
  }
  co_return out;
}

// Of all, or of that name.
Task<NodeStream> NodeApi::open_watch(std::string version, bool whole, std::string name) {
  const std::string only = name.empty() ? "" : "&" + selector(name);
  for (;;) {
    const bool metadata = form_ == Form::metadata && !whole;
    ApiRequest request{
        .path = fmt::format("{}?watch=true&allowWatchBookmarks=true&resourceVersion={}{}", kNodes,
                            percent_encode(version), only),
        .accept = metadata    ? kMetadata
                  : is_json() ? kJson
                              : kProtobuf};
    try {
      Http2Stream stream = co_await client_->open(std::move(request), call_time());
      check_type(stream);
      co_return NodeStream(std::move(stream), is_json(), prefix_);
    } catch (const ApiError& error) {
      if (!step_down(error, form_ == Form::metadata ? Form::whole : Form::json)) {
        throw;
      }
    }
  }
}

Task<std::optional<NodeObject>> NodeApi::get(std::string name, std::string version) {
  bool is_listed = !may_get_;
  for (;;) {
    try {
      if (is_listed) {
        co_return co_await list_one(name);
      }
      const std::string query =
          version.empty() ? "" : "?resourceVersion=" + percent_encode(version);
      ApiRequest request{.path = node_path(name) + query, .accept = kEither};
      const std::string body = co_await client_->call(std::move(request), call_time());
      co_return read(body);
    } catch (const ApiError& error) {
      if (error.status == 404 && !is_listed) {
        co_return std::nullopt;
      }
      if (error.status == 403) {  // where neither is allowed it is not about the one
        may_get_ = is_listed;
      }
      const bool is_new = has_other_history(error) && !std::exchange(version, {}).empty();
      const bool is_forbidden = error.status == 403 && !std::exchange(is_listed, true);
      if (!is_new && !is_forbidden && !step_down(error, Form::json)) {
        throw;
      }
    }
  }
}

Task<std::optional<NodeObject>> NodeApi::list_one(std::string name) {
  One one;
  co_await list_pages(selector(name), one);
  co_return std::move(one.node);
}

Task<NodeObject> NodeApi::patch_status(std::string name, std::string patch) {
  ApiRequest request{.method = "PATCH",
                     .path = node_path(name) + "/status",
                     .accept = kEither,
                     .content_type = "application/strategic-merge-patch+json",
                     .body = std::move(patch)};
  const std::string body = co_await client_->call(std::move(request), call_time());
  co_return read(body);
}

}  // namespace flannel
