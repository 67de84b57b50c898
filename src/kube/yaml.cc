#include "kube/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <stdexcept>
#include <string>

#include "base/printable.h"

namespace flannel {
namespace {

namespace json = boost::json;

// Within these libyaml, which takes time by the square of the depth, is fast.
constexpr int kDeepest = 50;
constexpr int kMostNodes = 100'000;      // those that aliases repeat included
constexpr std::size_t kTextOfNode = 64;  // a text counts as one more for each so many bytes

struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }

  yaml_event_t* get() { return &event_; }
  yaml_event_type_t type() const { return event_.type; }
  std::size_t line() const { return event_.start_mark.line + 1; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length};
  }
  bool is_null() const {
    constexpr std::string_view kNulls[] = {"", "~", "null", "Null", "NULL"};
    return event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           std::ranges::find(kNulls, text()) != std::end(kNulls);
  }
  // Of an alias; of anything else, what aliases of it are called. Empty: none.
  std::string anchor() const {
    const yaml_char_t* const name = type() == YAML_ALIAS_EVENT    ? event_.data.alias.anchor
                                    : type() == YAML_SCALAR_EVENT ? event_.data.scalar.anchor
                                    : type() == YAML_MAPPING_START_EVENT
                                        ? event_.data.mapping_start.anchor
                                        : event_.data.sequence_start.anchor;
    return name == nullptr ? "" : reinterpret_cast<const char*>(name);
  }

 private:
  yaml_event_t event_{};
};

class Parser {
 public:
  explicit Parser(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { yaml_parser_delete(&parser_); }

  json::value document() {
    for (;;) {
      Event event;
      next(event);
      if (event.type() == YAML_STREAM_END_EVENT) {
        return nullptr;
      }
      if (event.type() == YAML_DOCUMENT_START_EVENT) {
        Event root;
        next(root);
        return value(root, 0);
      }
    }
  }

 private:
  struct Anchored {
    json::value value;
    int nodes = 0;
  };

  void next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get()) == 0) {
      const char* const problem = parser_.problem != nullptr ? parser_.problem : "cannot be read";
      throw Malformed(fmt::format("line {}, column {}: {}", parser_.problem_mark.line + 1,
                                  parser_.problem_mark.column + 1, printable(problem)));
    }
  }

  static int size_of(const Event& event) {
    const bool is_text = event.type() == YAML_SCALAR_EVENT;
    return 1 + (is_text ? static_cast<int>(event.text().size() / kTextOfNode) : 0);
  }

  void count(const Event& event, int nodes, int depth) {
    nodes_ += nodes;
    if (nodes_ > kMostNodes || depth > kDeepest) {
      throw Malformed(fmt::format("line {}: {}", event.line(),
                                  depth > kDeepest ? "nested too deep" : "too much in it"));
    }
  }

  json::value value(const Event& event, int depth) {
    const std::string anchor = event.anchor();
    if (event.type() == YAML_ALIAS_EVENT) {
      const auto found = anchors_.find(anchor);
      if (found == anchors_.end()) {
        throw Malformed(fmt::format("line {}: no anchor \"{}\"", event.line(), printable(anchor)));
      }
      count(event, found->second.nodes, depth);
      return found->second.value;
    }
    const int before = nodes_;
    count(event, size_of(event), depth);
    json::value out = event.type() == YAML_MAPPING_START_EVENT    ? mapping(depth)
                      : event.type() == YAML_SEQUENCE_START_EVENT ? sequence(depth)
                      : event.is_null()                           ? json::value()
                                        : json::value(json::string(event.text()));
    if (!anchor.empty()) {
      count(event, nodes_ - before, depth);  // the copy
      anchors_[anchor] = {out, nodes_ - before};
    }
    return out;
  }

  json::value sequence(int depth) {
    json::array out;
    for (;;) {
      Event event;
      next(event);
      if (event.type() == YAML_SEQUENCE_END_EVENT) {
        return out;
      }
      out.push_back(value(event, depth + 1));
    }
  }

  json::value mapping(int depth) {
    json::object out;
    for (;;) {
      Event key;
      next(key);
      if (key.type() == YAML_MAPPING_END_EVENT) {
        return out;
      }
      if (key.type() != YAML_SCALAR_EVENT) {
        throw Malformed(fmt::format("line {}: a key that is no text", key.line()));
      }
      count(key, size_of(key), depth);
      Event event;
      next(event);
      out[key.text()] = value(event, depth + 1);
    }
  }

  yaml_parser_t parser_{};
  std::map<std::string, Anchored> anchors_;
  int nodes_ = 0;
};

}  // namespace

Result<json::value> parse_yaml(std::string_view text) {
  try {
    return Parser(text).document();
  } catch (const Malformed& malformed) {
    return fail("{}", malformed.what());
  }
}

}  // namespace flannel
