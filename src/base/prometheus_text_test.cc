#include "base/prometheus_text.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(PrometheusText, ASampleALine) {
  PrometheusText out;
  out.gauge("x_ready", "Whether x is ready.");
  out.sample(1);
  out.counter("x_events_total", "What happened.");
  out.sample(12'345'678, {{"type", "put"}});
  out.sample(0.25, {{"type", "delete"}, {"family", "IPv4"}});
  EXPECT_EQ(out.text(),
            "# HELP x_ready Whether x is ready.\n"
            "# TYPE x_ready gauge\n"
            "x_ready 1\n"
            "# HELP x_events_total What happened.\n"
            "# TYPE x_events_total counter\n"
            "x_events_total{type=\"put\"} 12345678\n"
            "x_events_total{type=\"delete\",family=\"IPv4\"} 0.25\n");
}

TEST(PrometheusText, ALabelMayHaveAnyValue) {
  PrometheusText out;
  out.gauge("x", "X.");
  out.sample(1, {{"a", "say \"x\\y\"\nö"}});
  EXPECT_TRUE(out.text().ends_with("\nx{a=\"say \\\"x\\\\y\\\"\\nö\"} 1\n")) << out.text();
}

TEST(PrometheusText, TheBucketsOfAHistogramAddUp) {
  Histogram values({0.001, 0.5});
  for (const double value : {0.0005, 0.001, 0.25, 7.0}) {
    values.observe(value);
  }
  PrometheusText out;
  out.histogram("x_seconds", "How long.", values);
  EXPECT_EQ(out.text(),
            "# HELP x_seconds How long.\n"
            "# TYPE x_seconds histogram\n"
            "x_seconds_bucket{le=\"0.001\"} 2\n"
            "x_seconds_bucket{le=\"0.5\"} 3\n"
            "x_seconds_bucket{le=\"+Inf\"} 4\n"
            "x_seconds_sum 7.2515\n"
            "x_seconds_count 4\n");
}

}  // namespace
}  // namespace flannel
