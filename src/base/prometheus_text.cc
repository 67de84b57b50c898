#include "base/prometheus_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace flannel {
namespace {

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

}  // namespace

void PrometheusText::begin(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void PrometheusText::add(std::string_view name, double value, Labels labels) {
  text_ += name;
  char before = '{';
  for (const Label& label : labels) {
    fmt::format_to(std::back_inserter(text_), "{}{}=\"{}\"", before, label.name,
                   escaped(label.value));
    before = ',';
  }
  fmt::format_to(std::back_inserter(text_), "{} {}\n", labels.size() == 0 ? "" : "}", value);
}

void PrometheusText::histogram(std::string_view name, std::string_view help,
                               const Histogram& values) {
  begin(name, "histogram", help);
  const std::string bucket = name_ + "_bucket";
  std::uint64_t up_to = 0;
  for (std::size_t i = 0; i < values.counts().size(); ++i) {
    up_to += values.counts()[i];
    const bool is_last = i == values.bounds().size();
    const std::string bound = is_last ? "+Inf" : fmt::format("{}", values.bounds()[i]);
    add(bucket, static_cast<double>(up_to), {{"le", bound}});
  }
  add(name_ + "_sum", values.sum(), {});
  add(name_ + "_count", static_cast<double>(up_to), {});
}

}  // namespace flannel
