#include "kube/annotation_prefix.h"

#include <algorithm>

#include "base/printable.h"

namespace flannel {
namespace {

bool is_label_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The reference looks for `(?:[a-z0-9_-]+\.)+[a-z0-9_-]+` at the end, whatever is before that.
bool ends_in_domain(std::string_view text) {
  const std::size_t dot = text.rfind('.');
  return dot != std::string_view::npos && dot > 0 && is_label_char(text[dot - 1]) &&
         dot + 1 < text.size() && std::ranges::all_of(text.substr(dot + 1), is_label_char);
}

}  // namespace

Result<std::string> parse_annotation_prefix(std::string_view text) {
  if (std::ranges::count(text, '/') > 1) {
    return fail("prefix can contain at most single slash: \"{}\"", printable(text));
  }
  std::string prefix(text);
  if (!prefix.contains('/')) {
    prefix += '/';
  }
  if (!prefix.ends_with('/') && !prefix.ends_with('-')) {
    prefix += '-';
  }
  const std::size_t slash = prefix.find('/');
  const std::string_view name = std::string_view(prefix).substr(slash + 1);
  const bool named = name.empty() || (name.size() > 1 && std::ranges::all_of(name, is_label_char));
  if (!named || !ends_in_domain(std::string_view(prefix).substr(0, slash))) {
    return fail("prefix must be in a format: fqdn/[0-9a-z-_]*: \"{}\"", printable(text));
  }
  return prefix;
}

}  // namespace flannel
