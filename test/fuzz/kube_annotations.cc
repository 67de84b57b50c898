// Fuzzes a Node's annotations, a line each, and its podCIDRs: what cannot be read is said in words
// that can be printed, and what we would write makes them say what we mean.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/printable.h"
#include "kube/node_annotations.h"

namespace {

using namespace flannel;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

template <class T>
void check_error(const Result<T>& result) {
  check(result || printable(result.error().text, kSentenceMost) == result.error().text);
}

NodeObject node_of(std::string_view lines) {
  NodeObject node;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      node.pod_cidrs.emplace_back(line);
    } else {
      node.annotations[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
  }
  return node;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const NodeObject node = node_of({reinterpret_cast<const char*>(data), size});
  check_error(subnets_of(node));
  check_error(facts_of(node.annotations));
  const Result<LeaseAttrs> attrs = attrs_of(node.annotations);
  check_error(attrs);
  const Result<AnnotationChanges> changes =
      changes_to(attrs.value_or(LeaseAttrs()), node.annotations);
  check_error(changes);
  if (!changes) {
    return 0;
  }
  Annotations written = node.annotations;
  for (const auto& [name, value] : *changes) {
    if (value) {
      written[name] = *value;
    } else {
      written.erase(name);
    }
  }
  check(is_managed(written));
  check(changes_to(attrs.value_or(LeaseAttrs()), written) == AnnotationChanges());
  (void)annotations_patch(*changes, "f.io/");
  return 0;
}
