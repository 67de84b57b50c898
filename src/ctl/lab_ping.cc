// `lab ping`: what each pod reaches, and what the host outside takes it for.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>

#include "ctl/interrupt.h"
#include "ctl/lab.h"
#include "ctl/netns_socket.h"

namespace flannel {
namespace {

constexpr std::uint16_t kPort = 7777;
constexpr int kAnswerWithin = 1000;  // ms, as for a ping

IpAddr address_of(const sockaddr_in6& peer) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
  return IpAddr::parse(text).value_or(IpAddr());
}

std::string seen_text(const PingRow& row) {
  if (!row.seen_as) {
    return "FAIL";
  }
  return *row.seen_as == row.node ? row.seen_as->to_text()
                                  : fmt::format("{}: FAIL, not as its node {}",
                                                row.seen_as->to_text(), row.node.to_text());
}

std::string cell(const std::optional<double>& time) {
  return time ? fmt::format("{:>8.3f}", *time) : fmt::format("{:>8}", "FAIL");
}

}  // namespace

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

std::optional<IpAddr> Lab::seen_outside(unsigned i, Family family) const {
  const sockaddr_in6 target = udp_endpoint(underlay_address(kOutside, family), kPort);
  const UniqueFd in = udp_socket_in(outside()), out = udp_socket_in(pod(i));
  sockaddr_in6 peer{};
  socklen_t length = sizeof peer;
  char byte = 0;
  pollfd ready{in.get(), POLLIN, 0};
  const bool arrived =
      ::bind(in.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0 &&
      ::sendto(out.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&target), sizeof target) ==
          1 &&
      ::poll(&ready, 1, kAnswerWithin) == 1 &&
      ::recvfrom(in.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) == 1;
  return arrived ? std::optional(address_of(peer)) : std::nullopt;
}

PingMatrix Lab::ping(Family family) const {
  PingMatrix matrix;
  for (unsigned from = 1; from <= nodes(); ++from) {
    check_interrupted();
    std::vector<RunningProgram> running;
    const auto begin = [&](const std::string& address) {
      running.emplace_back(Arguments{"ip", "netns", "exec", pod(from), "ping", "-n", "-q", "-c",
                                     "5", "-i", "0.01", "-W", "1", address});
    };
    for (unsigned to = 1; to <= nodes(); ++to) {
      begin(pod_address(to, family));
    }
    begin(underlay_address(kOutside, family).to_text());
    PingRow row{.node = underlay_address(from, family)};
    for (unsigned to = 1; to <= nodes(); ++to) {
      row.pods.push_back(parse_ping_average(running[to - 1].wait().output));
    }
    row.outside = parse_ping_average(running.back().wait().output);
    row.seen_as = seen_outside(from, family);
    matrix.push_back(std::move(row));
  }
  return matrix;
}

bool is_complete(const PingMatrix& matrix) {
  return std::ranges::all_of(matrix, [](const PingRow& row) {
    return row.outside && row.seen_as == row.node &&
           std::ranges::all_of(row.pods, [](const auto& time) { return time.has_value(); });
  });
}

std::string to_text(const PingMatrix& matrix) {
  std::string out = "ms    ";
  for (std::size_t to = 1; to <= matrix.size(); ++to) {
    out += fmt::format("{:>8}", fmt::format("p{}", to));
  }
  out += fmt::format("{:>8}  seen there as\n", "out");
  for (std::size_t from = 0; from < matrix.size(); ++from) {
    const PingRow& row = matrix[from];
    out += fmt::format("p{:<5}", from + 1);
    for (const std::optional<double>& time : row.pods) {
      out += cell(time);
    }
    out += fmt::format("{}  {}\n", cell(row.outside), seen_text(row));
  }
  return out;
}

}  // namespace flannel
