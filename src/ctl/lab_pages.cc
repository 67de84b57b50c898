// What a lab shows: leases, daemons, the ping matrix.

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "ctl/lab.h"
#include "ctl/status_client.h"

namespace flannel {
namespace {

namespace json = boost::json;

// A daemon's status document; an empty object where it does not answer.
json::value status_of(const std::string& socket) {
  const Result<Page> page = get_page(socket, "/status");
  boost::system::error_code error;
  const json::value document = page ? json::parse(page->body, error) : json::value();
  return document.is_object() ? document : json::object();
}

std::string text_at(const json::value& document, const char* pointer) {
  boost::system::error_code error;
  const json::value* value = document.find_pointer(pointer, error);
  if (error || value == nullptr || value->is_null()) {
    return "-";
  }
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

// Why a node is not ready, or degraded; empty where it is well.
std::string reason(const json::value& status) {
  for (const char* where :
       {"/reason", "/interface/trouble", "/store/trouble", "/kernel/problems/0/text"}) {
    const std::string text = text_at(status, where);
    if (!text.empty() && text != "-") {
      return text;
    }
  }
  return "";
}

}  // namespace

std::vector<Family> Lab::families() const {
  const std::string text = record_.setting("families");
  return text == "v4"   ? std::vector{Family::v4}
         : text == "v6" ? std::vector{Family::v6}
                        : std::vector{Family::v4, Family::v6};
}

// A line for each subnet.
std::string Lab::leases() const {
  std::string out =
      fmt::format("{:<6}{:<22}{:<14}{:<22}{}\n", "node", "subnet", "public IP", "until", "data");
  for (unsigned i = 1; i <= nodes(); ++i) {
    const json::value status = status_of(node_socket(i));
    for (std::size_t part = 0; part < families().size(); ++part) {
      const char* data =
          families()[part] == Family::v4 ? "/lease/backend_data" : "/lease/backend_v6_data";
      out += fmt::format("n{:<5}{:<22}{:<14}{:<22}{}\n", i,
                         text_at(status, fmt::format("/lease/subnets/{}", part).c_str()),
                         text_at(status, fmt::format("/lease/public_ips/{}", part).c_str()),
                         text_at(status, "/lease/expiry"), text_at(status, data));
    }
  }
  return out;
}

std::string Lab::status() const {
  std::string out =
      fmt::format("lab {}: {} nodes, {}\n", name_, nodes(), record_.setting("config"));
  out += fmt::format("{:<6}{:<10}{:<10}{:<16}{:<8}{}\n", "node", "flanneld", "state", "pod",
                     "peers", "reason");
  for (unsigned i = 1; i <= nodes(); ++i) {
    const auto process = record_.processes.find(fmt::format("n{}", i));
    const bool alive = process != record_.processes.end() && is_alive(process->second);
    const json::value status = alive ? status_of(node_socket(i)) : json::object();
    out += fmt::format("n{:<5}{:<10}{:<10}{:<16}{:<8}{}\n", i,
                       alive ? fmt::format("{}", process->second.pid) : "ended",
                       text_at(status, "/state"), pod_address(i, families().front()),
                       text_at(status, "/peers/count"), reason(status));
  }
  return out;
}

std::optional<double> parse_ping_average(const std::string& output) {
  // rtt min/avg/max/mdev = 0.045/0.050/0.060/0.005 ms
  const std::size_t equals = output.find(" = ", output.find("rtt "));
  double least = 0, average = 0;
  if (equals == std::string::npos ||
      std::sscanf(output.c_str() + equals, " = %lf/%lf/", &least, &average) != 2) {
    return std::nullopt;
  }
  return average;
}

std::string Lab::pod_address(unsigned i, Family family) const {
  return record_.setting(fmt::format("pod{}{}", i, family == Family::v4 ? "" : "v6"));
}

PingMatrix Lab::ping(Family family) const {
  PingMatrix matrix(nodes(), std::vector<std::optional<double>>(nodes()));
  for (unsigned from = 1; from <= nodes(); ++from) {
    std::vector<RunningProgram> row;
    for (unsigned to = 1; to <= nodes(); ++to) {
      row.emplace_back(Arguments{"ip", "netns", "exec", pod(from), "ping", "-n", "-q", "-c", "5",
                                 "-i", "0.01", "-W", "1", pod_address(to, family)});
    }
    for (unsigned to = 1; to <= nodes(); ++to) {
      matrix[from - 1][to - 1] = parse_ping_average(row[to - 1].wait().output);
    }
  }
  return matrix;
}

bool is_complete(const PingMatrix& matrix) {
  return std::all_of(matrix.begin(), matrix.end(), [](const auto& row) {
    return std::all_of(row.begin(), row.end(), [](const auto& time) { return time.has_value(); });
  });
}

std::string to_text(const PingMatrix& matrix) {
  std::string out = "ms    ";
  for (std::size_t to = 1; to <= matrix.size(); ++to) {
    out += fmt::format("{:>8}", fmt::format("p{}", to));
  }
  out += "\n";
  for (std::size_t from = 1; from <= matrix.size(); ++from) {
    out += fmt::format("p{:<5}", from);
    for (const std::optional<double>& time : matrix[from - 1]) {
      out += time ? fmt::format("{:>8.3f}", *time) : fmt::format("{:>8}", "FAIL");
    }
    out += "\n";
  }
  return out;
}

}  // namespace flannel
