#include "test/backend/scenario.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>

#include "base/file.h"
#include "daemon/traffic.h"
#include "kernel/object_reader.h"

namespace flannel {
namespace {

std::string rest_of(std::istringstream& line) {
  std::string rest;
  std::getline(line >> std::ws, rest);
  return rest;
}

template <class T>
T value_of(Result<T> result, const std::string& line) {
  if (!result) {
    throw std::runtime_error(line + ": " + result.error().text);
  }
  return std::move(*result);
}

void read_host(Scenario& scenario, std::istringstream& line) {
  std::string word;
  line >> word >> scenario.external.mtu;
  scenario.external.name = std::string_view(word);
  while (line >> word) {
    const IpAddr ip = value_of(IpAddr::parse(word), word);
    (ip.is_v4() ? scenario.external.v4 : scenario.external.v6) = ip;
    (ip.is_v4() ? scenario.external.public_v4 : scenario.external.public_v6) = ip;
  }
}

void read_path(Scenario& scenario, std::istringstream& line) {
  std::string to, dev, via;
  line >> to >> dev >> via;
  Path path{std::string_view(dev), std::nullopt, std::nullopt};
  path.shared_link = via != "noarp";
  if (!via.empty() && path.shared_link) {
    path.via = value_of(IpAddr::parse(via), via);
  }
  scenario.paths[value_of(IpAddr::parse(to), to)] = path;
}

std::vector<std::uint8_t> bytes_of(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// What flanneld makes of the answers to its dumps.
Snapshot read_recorded(const std::string& name, const Scope& scope) {
  const std::filesystem::path path =
      std::filesystem::path(FLANNEL_SOURCE_DIR) / "test/recorded" / (name + ".hex");
  std::istringstream file(value_of(read_file(path), name));
  std::vector<netlink::LinkMessage> links;
  std::vector<netlink::Reading> readings;
  netlink::SnapshotBuilder builder(scope);
  for (std::string kind, hex; file >> kind >> hex;) {
    if (kind != "links" && !links.empty()) {
      builder.add_links(std::exchange(links, {}));
    }
    const std::vector<std::uint8_t> bytes = bytes_of(hex);
    netlink::Bytes rest(bytes);
    while (const std::optional<netlink::MessageView> message = netlink::next_message(rest)) {
      if (const std::optional<netlink::LinkMessage> link = netlink::decode_link(*message)) {
        links.push_back(*link);
      } else if (std::optional<netlink::Reading> found =
                     netlink::read_object(*message, scope, builder.links())) {
        readings.push_back(std::move(*found));
      }
    }
  }
  builder.add(std::move(readings));
  Snapshot snapshot;
  builder.finish(snapshot);
  return snapshot;
}

void read_have(Scenario& scenario, std::istringstream& line) {
  std::string word;
  line >> word;
  if (word == "recorded") {
    Snapshot snapshot = read_recorded(rest_of(line), scenario.scope());
    scenario.have = std::move(snapshot.ours);
    scenario.leftovers = std::move(snapshot.leftovers);
    return;
  }
  if (word == "all") {
    scenario.have = scenario.plan().first.state;
    scenario.update = {};
    return;
  }
  std::string dst, via, dev;
  line >> dst >> word >> via >> word >> dev;
  Route route;
  route.key.dst = value_of(Prefix::parse(dst), dst);
  route.key.metric = route.key.dst.family() == Family::v4 ? 0 : 1024;
  route.via = value_of(IpAddr::parse(via), via);
  route.dev = std::string_view(dev);
  route.protocol = 3;  // boot
  scenario.have.of<Route>().put(route);
}

void read_nexthops(NexthopChoice& nexthops, std::istream& line) {
  std::string mode;
  line >> mode >> nexthops.from >> nexthops.until;
  nexthops.mode = mode == "auto" ? NexthopChoice::Mode::automatic : NexthopChoice::Mode::off;
}

void read_line(Scenario& scenario, const std::string& text) {
  std::istringstream line(text);
  std::string verb, key;
  line >> verb;
  if (verb == "config") {
    scenario.network = value_of(parse_network_config(rest_of(line)), text);
    scenario.backend = value_of(make_backend(scenario.network), text);
  } else if (verb == "host") {
    read_host(scenario, line);
  } else if (verb == "address") {
    std::string dev, prefix;
    line >> dev >> prefix;
    scenario.host.addresses.push_back({dev, value_of(Prefix::parse(prefix), text)});
  } else if (verb == "gateway") {
    scenario.host.gateways.push_back(value_of(IpAddr::parse(rest_of(line)), text));
  } else if (verb == "path") {
    read_path(scenario, line);
  } else if (verb == "nexthops") {
    read_nexthops(scenario.nexthops, line);
  } else if (verb == "own") {
    scenario.own.key = value_of(parse_lease_key(rest_of(line)), text);
    scenario.own.attrs =
        scenario.backend->announce(scenario.network, scenario.external, {scenario.have.of<Link>()});
  } else if (verb == "peer") {
    line >> key;
    scenario.update.leases.push_back({value_of(parse_lease_key(key), text),
                                      value_of(parse_lease_attrs(rest_of(line)), text),
                                      {}});
  } else if (verb == "junk") {
    line >> key;
    scenario.update.bad.push_back({key, rest_of(line)});
  } else if (verb == "adopt-stale") {
    scenario.adopt_stale = true;
  } else if (verb == "options") {
    std::vector<std::string> words{"flanneld"};
    for (std::string word; line >> word;) {
      words.push_back(word);
    }
    scenario.options = parse_options(words, [](const std::string&) { return ""; }).options;
  } else if (verb == "have") {
    read_have(scenario, line);
  } else {
    throw std::runtime_error("unknown line: " + text);
  }
}

std::filesystem::path folder() {
  return std::filesystem::path(FLANNEL_SOURCE_DIR) / "test/scenarios";
}

}  // namespace

std::pair<Plan, std::vector<Refused>> Scenario::plan() const {
  Peers peers(network, own, [this](const Lease& lease, Family family) {
    return backend->vtep_mac(lease, family);
  });
  peers.set_host(host);
  peers.apply(update);
  const Scope scope = this->scope();
  const NexthopUse use{nexthops.use(peers.usable_count(), have), {}};
  Plan plan = backend->plan({network, external, own, scope, paths, use}, peers.usable());
  if (options) {
    plan_traffic(network, own.key,
                 traffic_options(network, *options, value_of(masq_excluded(network, *options), "")),
                 "", plan.state);
  }
  return {std::move(plan), {peers.refused().begin(), peers.refused().end()}};
}

std::string scenario_path(const std::string& name) {
  return folder() / (name + ".txt");
}

Scenario read_scenario(const std::string& name) {
  std::istringstream file(value_of(read_file(scenario_path(name)), name));
  Scenario scenario;
  std::string line;
  while (std::getline(file, line) && line != "plan") {
    if (!line.empty() && !line.starts_with('#')) {
      read_line(scenario, line);
    }
  }
  if (line != "plan") {
    throw std::runtime_error(name + " expects nothing");
  }
  scenario.expected = std::string(std::istreambuf_iterator<char>(file), {});
  scenario.update.snapshot = true;
  return scenario;
}

std::vector<std::string> all_scenarios() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() == ".txt") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace flannel
