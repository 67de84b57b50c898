// flanneld's metrics as Prometheus fetches them.

#include <netinet/in.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

#include "test/daemon/flanneld_fixture.h"

namespace flannel {
namespace {

class FlanneldMetrics : public FlanneldTest {
 protected:
  void SetUp() override {
    FlanneldTest::SetUp();
    ASSERT_TRUE(write_local_config(store(), kConfig));
    put(peer_lease("10.5.61.0-24"));
  }
  static std::string get(const std::string& url, const Arguments& more = {}) {
    Arguments words{"curl", "-s"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(url);
    return run(words).output;
  }
  // 0 where there is no such sample.
  static double value(const std::string& sample) {
    const std::string text = get(kPage);
    const std::size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos ? 0
                                   : std::strtod(text.c_str() + at + sample.size() + 2, nullptr);
  }

  static constexpr const char* kPage = "http://127.0.0.1:18082/metrics";
};

TEST_F(FlanneldMetrics, AreAtTheAddressThatWasGivenAndNowhereElse) {
  start({"--metrics-addr=[::1]:18082", "--healthz-port=18081"});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const std::string page = get("http://[::1]:18082/metrics", {"-gi"});
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK\r\n")) << page;
  EXPECT_TRUE(page.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n")) << page;
  EXPECT_TRUE(page.contains("\nflannel_ready 1\n")) << page;
  EXPECT_TRUE(page.ends_with("\n")) << page;
  EXPECT_EQ(get("http://[::1]:18082/status", {"-g"}), "404 page not found\n");
  EXPECT_EQ(get("http://127.0.0.1:18081/metrics"), "404 page not found\n");
  EXPECT_EQ(get(kPage), "") << "of the other family nobody was to be served";
  EXPECT_TRUE(FlanneldTest::page("/metrics").starts_with("200 # HELP flannel_build_info "));
  const ProgramResult second =
      run({TestLab::binary("flanneld"), "--local-store=" + store(),
           "--subnet-file=" + folder + "/2/subnet.env", "--metrics-addr=[::1]:18082"});
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(second.output.contains("metrics page: listen on [::1]:18082: Address already in use"))
      << second.output;
}

TEST_F(FlanneldMetrics, CountWhatHappensToTheHost) {
  start({"--metrics-addr=:18082"});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  ASSERT_TRUE(eventually([] { return value("flannel_peers{state=\"ok\"}") == 1; })) << log();
  run_program({"ip", "route", "del", "10.5.61.0/24"});
  EXPECT_TRUE(eventually([] { return value("flannel_repairs_total{kind=\"route\"}") == 1; }));

  const std::string sent = "{device=\"flannel.1\",direction=\"transmit\"}";
  const double packets = value("flannel_device_packets_total" + sent);
  const double bytes = value("flannel_device_bytes_total" + sent);
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {}, .sin_zero = {}};
  to.sin_addr.s_addr = htonl(0x0a053d01);
  ASSERT_EQ(
      ::sendto(socket.get(), "12345678", 8, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
      8);
  EXPECT_TRUE(eventually([&] {
    return value("flannel_device_packets_total" + sent) > packets &&
           value("flannel_device_bytes_total" + sent) >= bytes + 8;
  }));
  EXPECT_GT(value("process_open_fds"), 3);
  EXPECT_GT(value("process_max_fds"), value("process_open_fds"));
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_start_time_seconds"), static_cast<double>(::time(nullptr)) - 600);
}

// On one connection, and on one each.
TEST_F(FlanneldMetrics, ManyScrapesLeaveNothingOpen) {
  start({"--metrics-addr=localhost:18082"});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  const auto open_now = [this] {
    using Entries = std::filesystem::directory_iterator;
    return std::distance(Entries(fmt::format("/proc/{}/fd", daemon.pid)), Entries());
  };
  const auto before = open_now();
  get(std::string(kPage) + "?[1-500]", {"-o", "/dev/null"});
  get(std::string(kPage) + "?[1-100]", {"-o", "/dev/null", "-H", "Connection: close"});
  EXPECT_TRUE(eventually([&] { return open_now() <= before; }));
  EXPECT_TRUE(is_ready());
}

}  // namespace
}  // namespace flannel
