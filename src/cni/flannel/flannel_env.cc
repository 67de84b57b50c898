#include "cni/flannel/flannel_env.h"

#include <poll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "network/subnet_env.h"

namespace flannel::cni {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Also where the folder is not there yet, so that it cannot be watched.
constexpr milliseconds kLookAgain{100};
constexpr std::size_t kMostBytes = 65'536;  // of the file

Result<std::vector<Prefix>> parse_networks(std::string_view list) {
  std::vector<Prefix> out;
  for (;;) {
    const std::size_t comma = list.find(',');
    const Result<Prefix> network = Prefix::parse(list.substr(0, comma));
    if (!network) {
      return std::unexpected(network.error());
    }
    if (std::find(out.begin(), out.end(), network->masked()) == out.end()) {
      out.push_back(network->masked());
    }
    if (comma == std::string_view::npos) {
      return out;
    }
    list.remove_prefix(comma + 1);
  }
}

// What the file says, each nothing where it does not.
struct Values {
  std::vector<Prefix> networks, ipv6_networks;
  std::optional<Prefix> subnet, ipv6_subnet;
  std::optional<std::uint32_t> mtu;
  std::optional<bool> ip_masq;
};

Result<void> read_subnet(std::optional<Prefix>& subnet, std::string_view value) {
  const Result<Prefix> parsed = Prefix::parse(value);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  subnet = parsed->masked();
  return {};
}

Result<void> read_networks(std::vector<Prefix>& networks, std::string_view value) {
  Result<std::vector<Prefix>> parsed = parse_networks(value);
  if (!parsed) {
    return std::unexpected(parsed.error());
  }
  networks = std::move(*parsed);
  return {};
}

Result<void> read_value(Values& values, std::string_view name, std::string_view value) {
  if (name == "FLANNEL_NETWORK") {
    return read_networks(values.networks, value);
  }
  if (name == "FLANNEL_IPV6_NETWORK") {
    return read_networks(values.ipv6_networks, value);
  }
  if (name == "FLANNEL_SUBNET") {
    return read_subnet(values.subnet, value);
  }
  if (name == "FLANNEL_IPV6_SUBNET") {
    return read_subnet(values.ipv6_subnet, value);
  }
  if (name == "FLANNEL_MTU") {
    std::uint32_t mtu = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mtu);
    if (error != std::errc() || end != value.data() + value.size()) {
      return fail("FLANNEL_MTU \"{}\": not a whole number", value);
    }
    values.mtu = mtu;
  }
  if (name == "FLANNEL_IPMASQ") {
    values.ip_masq = value == "true";
  }
  return {};
}

std::string missing_of(const Values& values) {
  std::string out;
  const auto need = [&out](bool there, std::string_view names) {
    if (!there) {
      out.append(out.empty() ? "" : ", ").append(names);
    }
  };
  need(!values.networks.empty() || !values.ipv6_networks.empty(),
       "FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK");
  need(values.subnet || values.ipv6_subnet, "FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET");
  need(values.mtu.has_value(), "FLANNEL_MTU");
  need(values.ip_masq.has_value(), "FLANNEL_IPMASQ");
  return out;
}

Result<FlannelEnv> try_read(const std::string& path) {
  const Result<std::string> text = read_file(path, kMostBytes);
  return text ? parse_flannel_env(*text, path) : std::unexpected(text.error());
}

}  // namespace

Result<FlannelEnv> parse_flannel_env(std::string_view text, const std::string& path) {
  Values values;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line.remove_suffix(line.ends_with('\r') ? 1 : 0);
    const std::size_t equals = line.find('=');
    const std::string_view name = line.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : line.substr(equals + 1);
    const Result<void> read = read_value(values, name, value);
    if (!read) {
      return fail("{}: {}: {}", path, name, read.error().text);
    }
  }
  if (const std::string missing = missing_of(values); !missing.empty()) {
    return fail("{} is missing {}", path, missing);
  }
  FlannelEnv env{.networks = std::move(values.networks),
                 .subnet = values.subnet,
                 .ipv6_subnet = values.ipv6_subnet,
                 .mtu = *values.mtu,
                 .ip_masq = *values.ip_masq};
  env.networks.insert(env.networks.end(), values.ipv6_networks.begin(), values.ipv6_networks.end());
  return env;
}

Result<FlannelEnv> read_flannel_env(const std::string& path, milliseconds timeout) {
  const auto limit = steady_clock::now() + timeout;
  Result<FlannelEnv> env = try_read(path);
  if (env || timeout == milliseconds::zero()) {
    return env;
  }
  const UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string folder = std::filesystem::path(path).parent_path().string();
  ::inotify_add_watch(changes.get(), folder.empty() ? "." : folder.c_str(),
                      IN_MOVED_TO | IN_CLOSE_WRITE);
  while (!(env = try_read(path)) && steady_clock::now() < limit) {
    const auto left = std::chrono::duration_cast<milliseconds>(limit - steady_clock::now());
    pollfd waiting{changes.get(), POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(std::clamp(left, milliseconds(1), kLookAgain).count()));
    char events[4096];
    while (::read(changes.get(), events, sizeof events) > 0) {
    }
  }
  return env;
}

std::string daemons_reason(const std::string& subnet_file) {
  const Result<std::string> text = read_file(reason_file(subnet_file), kMostBytes);
  return text ? text->substr(0, text->find('\n')) : "";
}

}  // namespace flannel::cni
