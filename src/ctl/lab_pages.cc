// What a lab shows: leases, daemons, the ping matrix.

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

}  // namespace

std::string Lab::leases() const {
  std::string out =
      fmt::format("{:<6}{:<16}{:<14}{:<22}{}\n", "node", "subnet", "public IP", "until", "data");
  for (unsigned i = 1; i <= nodes(); ++i) {
    const json::value status = status_of(node_socket(i));
    out += fmt::format("n{:<5}{:<16}{:<14}{:<22}{}\n", i, text_at(status, "/lease/subnets/0"),
                       text_at(status, "/lease/public_ips/0"), text_at(status, "/lease/expiry"),
                       text_at(status, "/lease/backend_data"));
  }
  return out;
}

std::string Lab::status() const {
  std::string out = fmt::format("lab {}: {} nodes, {} over {}\n", name_, nodes(),
                                record_.setting("backend"), record_.setting("network"));
  out += fmt::format("{:<6}{:<10}{:<10}{:<16}{:<8}{}\n", "node", "flanneld", "state", "pod",
                     "peers", "reason");
  for (unsigned i = 1; i <= nodes(); ++i) {
    const auto process = record_.processes.find(fmt::format("n{}", i));
    const bool alive = process != record_.processes.end() && is_alive(process->second);
    const json::value status = alive ? status_of(node_socket(i)) : json::object();
    out += fmt::format("n{:<5}{:<10}{:<10}{:<16}{:<8}{}\n", i,
                       alive ? fmt::format("{}", process->second.pid) : "ended",
                       text_at(status, "/state"), record_.setting(fmt::format("pod{}", i)),
                       text_at(status, "/peers/count"), text_at(status, "/reason"));
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

PingMatrix Lab::ping() const {
  PingMatrix matrix(nodes(), std::vector<std::optional<double>>(nodes()));
  for (unsigned from = 1; from <= nodes(); ++from) {
    std::vector<RunningProgram> row;
    for (unsigned to = 1; to <= nodes(); ++to) {
      row.emplace_back(Arguments{"ip", "netns", "exec", pod(from), "ping", "-n", "-q", "-c", "5",
                                 "-i", "0.01", "-W", "1",
                                 record_.setting(fmt::format("pod{}", to))});
    }
    for (unsigned to = 1; to <= nodes(); ++to) {
      matrix[from - 1][to - 1] = parse_ping_average(row[to - 1].wait().output);
    }
  }
  return matrix;
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
