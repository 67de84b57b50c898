// Plays scenarios/*.txt: leases in, the plan out, in the text form of `flannelctl plan`.
//
//   config JSON              the network configuration
//   host DEV MTU ADDRESS     the external interface
//   own KEY                  our lease; its attributes are what the backend announces
//   peer KEY JSON            another node's lease, as in the store
//   junk KEY REASON          an entry the store could not read
//   have all                 the kernel has what the lines so far lead to; peers start anew
//   plan                     what follows is expected: ops, then `refused`, then `skipped` lines
//
// Lines that begin with # say what the scenario shows. FLANNEL_UPDATE_SCENARIOS=1 writes what came
// out where it is not what was expected, for you to read; the test fails all the same.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "backend/scope.h"
#include "base/file.h"
#include "network/peers.h"
#include "reconcile/diff.h"

namespace flannel {
namespace {

struct Scenario {
  NetworkConfig network;
  std::unique_ptr<Backend> backend;
  ExternalInterface external;
  Lease own;
  Paths paths;
  LeaseUpdate update;
  NetState have;

  std::pair<Plan, std::vector<Refused>> plan() const {
    Peers peers(network, own);
    peers.apply(update);
    const Scope scope = make_scope(network, *backend);
    return {backend->plan({network, external, own, scope, paths, {}}, peers.usable()),
            {peers.refused().begin(), peers.refused().end()}};
  }
};

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

void read_line(Scenario& scenario, const std::string& text) {
  std::istringstream line(text);
  std::string verb;
  line >> verb;
  if (verb == "config") {
    scenario.network = value_of(parse_network_config(rest_of(line)), text);
    scenario.backend = value_of(make_backend(scenario.network), text);
  } else if (verb == "host") {
    std::string dev, address;
    line >> dev >> scenario.external.mtu >> address;
    scenario.external.name = std::string_view(dev);
    scenario.external.v4 = scenario.external.public_v4 = value_of(IpAddr::parse(address), text);
  } else if (verb == "own") {
    scenario.own.key = value_of(parse_lease_key(rest_of(line)), text);
    scenario.own.attrs =
        scenario.backend->announce(scenario.network, scenario.external, scenario.have);
  } else if (verb == "peer") {
    std::string key;
    line >> key;
    scenario.update.leases.push_back(
        {value_of(parse_lease_key(key), text), value_of(parse_lease_attrs(rest_of(line)), text)});
  } else if (verb == "junk") {
    std::string key;
    line >> key;
    scenario.update.bad.push_back({key, rest_of(line)});
  } else if (verb == "have") {
    scenario.have = scenario.plan().first.state;
    scenario.update = {};
  } else {
    throw std::runtime_error("unknown line: " + text);
  }
}

class ScenarioFile : public testing::TestWithParam<std::string> {};

TEST_P(ScenarioFile, LeadsToItsPlan) {
  const std::filesystem::path folder = std::filesystem::path(FLANNEL_SOURCE_DIR) / "test/scenarios";
  std::istringstream file(*read_file(folder / (GetParam() + ".txt")));
  Scenario scenario;
  std::string line;
  while (std::getline(file, line) && line != "plan") {
    if (!line.empty() && !line.starts_with('#')) {
      read_line(scenario, line);
    }
  }
  ASSERT_EQ(line, "plan") << "the file expects nothing";
  const std::string expected(std::istreambuf_iterator<char>(file), {});

  scenario.update.snapshot = true;
  const auto [plan, refused] = scenario.plan();
  std::string actual;
  for (const Op& op : diff(plan.state, scenario.have)) {
    actual += to_text(op) + "\n";
  }
  for (const Refused& peer : refused) {
    actual += "refused " + peer.name + ": " + peer.reason + "\n";
  }
  for (const Refused& peer : plan.skipped) {
    actual += "skipped " + peer.name + ": " + peer.reason + "\n";
  }
  EXPECT_EQ(actual, expected);
  if (actual != expected && std::getenv("FLANNEL_UPDATE_SCENARIOS") != nullptr) {
    const std::string path = folder / (GetParam() + ".txt");
    const std::string text = *read_file(path);
    ASSERT_TRUE(replace_file(path, text.substr(0, text.find("plan\n") + 5) + actual, 0644));
  }
}

std::vector<std::string> all_scenarios() {
  std::vector<std::string> names;
  const std::filesystem::path folder = std::filesystem::path(FLANNEL_SOURCE_DIR) / "test/scenarios";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Scenarios, ScenarioFile, testing::ValuesIn(all_scenarios()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace flannel
