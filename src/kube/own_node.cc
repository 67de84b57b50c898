#include "kube/own_node.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "base/printable.h"
#include "kube/node_annotations.h"

namespace flannel {
namespace {

// What somebody has done to our annotations; empty where they are as `attrs` have them.
std::string alteration(const LeaseAttrs& attrs, const Annotations& annotations) {
  const Result<AnnotationChanges> changes = changes_to(attrs, annotations);
  if (!changes) {
    return changes.error().text;
  }
  if (changes->empty()) {
    return "";
  }
  const std::string& name = changes->begin()->first;
  const auto found = annotations.find(name);
  return found == annotations.end()
             ? fmt::format("annotation {} is missing", name)
             : fmt::format("annotation {} is \"{}\"", name, printable(found->second));
}

}  // namespace

bool is_older_version(std::string_view a, std::string_view b) {
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.front() != '0' &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return is_number(a) && is_number(b) && (a.size() != b.size() ? a.size() < b.size() : a < b);
}

void OwnNode::done(LeaseAttrs attrs, const NodeObject& node) {
  written_ = {.attrs = std::move(attrs), .uid = node.uid, .version = node.version};
  under_way_.reset();
}

void OwnNode::count_anew() {
  if (written_) {
    written_->version.clear();
  }
}

bool OwnNode::is_news(const std::string& version) const {
  return written_ ? !is_older_version(version, written_->version) : under_way_.has_value();
}

std::optional<OwnEntry> OwnNode::classify_gone(const std::string& version) const {
  if (!is_news(version)) {
    return std::nullopt;
  }
  return OwnEntry{.state = OwnEntry::State::gone, .lease = {}, .reason = {}};
}

std::optional<OwnEntry> OwnNode::classify(const NodeObject& node) const {
  if (!is_news(node.version)) {
    return std::nullopt;
  }
  std::string reason = under_way_ ? alteration(*under_way_, node.annotations) : "";
  if (written_ && (!under_way_ || !reason.empty())) {
    reason = node.uid == written_->uid ? alteration(written_->attrs, node.annotations)
                                       : "the Node was deleted and made again";
  }
  return OwnEntry{.state = reason.empty() ? OwnEntry::State::as_written : OwnEntry::State::altered,
                  .lease = {},
                  .reason = std::move(reason)};
}

Task<void> OwnNode::learn_name() {
  if (name_.empty()) {
    name_ = co_await find_();
  }
}

}  // namespace flannel
