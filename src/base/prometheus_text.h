// Metrics as Prometheus reads them: its text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/histogram.h"

namespace flannel {

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

// One metric after the other, each once, and its samples behind it. Names are [a-z_]+ and have
// base units (seconds, bytes) at the end, those of counters `_total` behind that.
class PrometheusText {
 public:
  struct Label {
    std::string_view name;
    std::string_view value;  // any UTF-8
  };
  using Labels = std::initializer_list<Label>;

  // What the samples that follow are of. `help`: one sentence, without a backslash.
  void counter(std::string_view name, std::string_view help) { begin(name, "counter", help); }
  void gauge(std::string_view name, std::string_view help) { begin(name, "gauge", help); }
  void sample(double value, Labels labels = {}) { add(name_, value, labels); }

  void histogram(std::string_view name, std::string_view help, const Histogram& values);

  const std::string& text() const { return text_; }

 private:
  void begin(std::string_view name, std::string_view type, std::string_view help);
  void add(std::string_view name, double value, Labels labels);

  std::string text_;
  std::string name_;  // of the metric begun last
};

}  // namespace flannel
