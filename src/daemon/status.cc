#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <ranges>
#include <span>

#include "base/counted.h"
#include "base/printable.h"
#include "base/utc_text.h"
#include "base/version.h"
#include "daemon/peer_states.h"
#include "daemon/state.h"

namespace flannel {
namespace {

namespace json = boost::json;

json::value time_text(std::chrono::system_clock::time_point time) {
  if (time == std::chrono::system_clock::time_point{}) {
    return nullptr;
  }
  return json::value(utc_text(time));
}

constexpr std::size_t kMostOfSentence = 1'000;

// Whatever we did not write ourselves, names of devices and files too: a document with bytes that
// are no UTF-8 is no JSON.
json::string text(std::string_view sentence) {
  return json::string(printable(sentence, kMostOfSentence));
}

json::array texts(const std::vector<std::string>& items) {
  json::array out;
  for (const std::string& item : items) {
    out.emplace_back(text(item));
  }
  return out;
}

// The parts of both families that are there, as text.
template <class T>
json::array present(const std::optional<T>& v4, const std::optional<T>& v6) {
  json::array out;
  for (const std::optional<T>* one : {&v4, &v6}) {
    if (*one) {
      out.emplace_back((*one)->to_text());
    }
  }
  return out;
}

json::array refusals(std::span<const Refused> items) {
  json::array out;
  for (const Refused& item : items) {
    out.push_back({{"name", text(item.name)}, {"reason", text(item.reason)}});
  }
  return out;
}

json::object lease_object(const Lease& lease) {
  json::object out{{"subnets", present(lease.key.v4, lease.key.v6)},
                   {"public_ips", present(lease.attrs.public_ip, lease.attrs.public_ipv6)},
                   {"expiry", lease.expiry ? time_text(to_time_of_day(*lease.expiry)) : nullptr}};
  for (const Family family : kFamilies) {
    boost::system::error_code error;
    const json::value data = json::parse(lease.attrs.data(family), error);
    out[family == Family::v4 ? "backend_data" : "backend_v6_data"] =
        error ? json::value(nullptr) : data;
  }
  return out;
}

json::object peers_object(const DaemonState& state) {
  json::array list;
  for (const auto& [lease, peer_state] : peer_states(state)) {
    const Lease& peer = *lease;
    list.push_back({{"subnets", present(peer.key.v4, peer.key.v6)},
                    {"public_ips", present(peer.key.v4 ? peer.attrs.public_ip : std::nullopt,
                                           peer.key.v6 ? peer.attrs.public_ipv6 : std::nullopt)},
                    {"state", to_text(peer_state)}});
  }
  return {{"count", list.size()},
          {"list", std::move(list)},
          {"refused", refusals(state.peers()->refused())},
          {"skipped", refusals(state.planner->skipped())}};
}

std::string_view to_text(Op::Verb verb) {
  switch (verb) {
    case Op::Verb::add:
      return "add";
    case Op::Verb::change:
      return "change";
    case Op::Verb::remove:
      break;
  }
  return "remove";
}

// Where the kernel refuses all that tens of thousands of peers need, nobody reads further, and the
// loop is not to be held up by the text.
constexpr std::size_t kMostProblems = 1'000;

json::object kernel_object(const Report& report) {
  json::array problems;
  for (const Problem& problem :
       std::span(report.problems).first(std::min(report.problems.size(), kMostProblems))) {
    problems.push_back({{"object", text(headline(problem.op).substr(2))},
                        {"verb", to_text(problem.op.verb)},
                        {"error", ::strerrorname_np(problem.error)},
                        {"text", text(problem.text)},
                        {"attempts", problem.attempts},
                        {"waiting", problem.waiting},
                        {"since", time_text(problem.since)}});
  }
  return {{"objects", report.wanted},
          {"pending", total(report.pending)},
          {"passes", report.passes},
          {"changes", report.ops},
          {"last_pass", time_text(report.last_pass)},
          {"last_pass_ms", static_cast<double>(report.last_pass_took.count()) / 1000},
          {"problem_count", report.problems.size()},
          {"problems", std::move(problems)}};
}

json::object interface_object(const DaemonState& state) {
  const ExternalInterface& external = *state.external();
  json::array devices;
  for (const Dev& device : state.overlay->traits.links) {
    devices.emplace_back(device.text());
  }
  return {{"name", text(external.name.text())},
          {"trouble", text(state.host->trouble())},
          {"mtu", external.mtu},
          {"addresses", present(external.v4, external.v6)},
          {"devices", std::move(devices)},
          {"pod_mtu", state.host->pod_mtu()}};
}

json::object firewall_object(const DaemonState& state) {
  return {{"tool", to_text(state.overlay->config.nftables ? FirewallTool::nftables
                                                          : FirewallTool::iptables)},
          {"masquerade", state.options.ip_masq},
          {"forward", state.options.iptables_forward_rules},
          {"suffix", state.reconciler->mirror().rules_suffix}};
}

// Where a routing daemon has routes to thousands of pods, nobody reads further.
constexpr std::size_t kMostShadows = 100;

// What makes a node that is ready a degraded one, beside what the kernel refuses: a sentence each.
std::vector<std::string> troubles(const DaemonState& state) {
  const LastKnownState* const fallback = state.fallback.get();
  const std::pair<std::string_view, std::string> table[] = {
      {"store: ", state.store_health.trouble()},
      {"from last known state of ", fallback ? utc_text(fallback->time) : ""},
      {"state-dir: ", state.writer ? state.writer->trouble() : ""},
      {"interface: ", state.host ? state.host->trouble() : ""},
      {"our lease ", state.own ? state.own->trouble() : ""},
      {"backend: ", state.engine ? state.engine->trouble() : ""},
      {"", state.ready ? state.waiting_for() : ""},
  };
  std::vector<std::string> out;
  for (const auto& [what, trouble] : table) {
    if (!trouble.empty()) {
      out.push_back(fmt::format("{}{}", what, trouble));
    }
  }
  if (state.reconciler) {
    for (const Problem& problem : state.reconciler->report().problems) {
      const Ruleset* rules = std::get_if<Ruleset>(&problem.op.object);
      if (rules != nullptr && problem.op.verb != Op::Verb::remove) {
        out.push_back(fmt::format("{}: {}", consequence_without(*rules), problem.text));
      }
    }
    const std::vector<Shadow>& shadows = state.reconciler->report().shadows;
    for (std::size_t i = 0; i < std::min(shadows.size(), kMostShadows); ++i) {
      out.push_back(to_text(shadows[i]));
    }
    if (shadows.size() > kMostShadows) {
      out.push_back(
          fmt::format("… of {} that take packets to peers", counted(shadows.size(), "route")));
    }
  }
  return out;
}

std::string_view overall(const DaemonState& state) {
  return !state.ready ? "waiting" : is_degraded(state) ? "degraded" : "ready";
}

}  // namespace

std::vector<std::string> warnings(const DaemonState& state) {
  std::vector<std::string> all;
  const auto add = [&all](const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  if (!state.no_status_socket.empty()) {
    add({"no status socket: " + state.no_status_socket});
  }
  if (state.overlay) {
    add(warnings(state.overlay->config));
  }
  if (state.config_watch && !state.config_watch->trouble().empty()) {
    add({state.config_watch->trouble()});
  }
  if (const ExternalInterface* external = state.external()) {
    add(state.overlay->backend->warnings(*external));
  }
  if (state.planner) {
    add(state.planner->unprotected());
  }
  add(state.host_warnings());
  add(state.forward_drops());
  return all;
}

bool follows_leases(const DaemonState& state) {
  const PeerWatch* const watch = state.peer_watch.get();
  return watch != nullptr && watch->listed() && state.store_health.is_followed();
}

bool is_degraded(const DaemonState& state) {
  return state.ready && !(troubles(state).empty() && state.reconciler->report().problems.empty());
}

std::string status_json(const DaemonState& state) {
  const std::string store_trouble = state.store_health.trouble();
  const LastKnownState* const fallback = state.fallback.get();
  json::object out{
      {"version", kVersion},
      {"pid", ::getpid()},
      {"state", overall(state)},
      {"reason", text(state.waiting_for())},
      {"ready", state.ready},
      {"started", time_text(state.started)},
      {"store",
       {{"name", text(state.store->name())},
        {"connected", follows_leases(state)},
        {"trouble", text(store_trouble)},
        {"last_known_state_of", fallback ? time_text(fallback->time) : nullptr},
        {"last_known_state_trouble", text(state.writer ? state.writer->trouble() : "")}}},
      {"subnet_file", text(state.options.subnet_file)},
      {"troubles", texts(troubles(state))},
      {"warnings", texts(warnings(state))}};
  if (state.overlay) {
    const NetworkConfig& config = state.overlay->config;
    json::array networks;
    for (const std::optional<FamilyConfig>* family : {&config.v4, &config.v6}) {
      if (*family) {
        networks.emplace_back((*family)->network.to_text());
      }
    }
    out["network"] = {{"networks", std::move(networks)},
                      {"backend", printable(config.backend_type)}};
  }
  if (state.external() != nullptr) {
    out["interface"] = interface_object(state);
  }
  if (state.own) {
    out["lease"] = lease_object(state.own->get());
    out["lease"].as_object()["trouble"] = text(state.own->trouble());
  }
  if (state.reconciler) {
    out["peers"] = peers_object(state);
    out["firewall"] = firewall_object(state);
    out["kernel"] = kernel_object(state.reconciler->report());
  }
  return json::serialize(out);
}

std::string plan_text(const DaemonState& state) {
  std::string out;
  const auto add = [&out](const std::string& line) {
    out += printable(line, kMostOfSentence) + "\n";
  };
  if (!state.reconciler || state.reconciler->report().passes == 0) {
    add("# nothing is planned yet: " + state.waiting_for());
    return out;
  }
  const Reconciler::Preview preview = state.reconciler->preview();
  for (const Op& op : preview.ops) {
    const std::string text = to_text(op);
    for (const auto line : std::views::split(text, '\n')) {
      add(std::string(line.begin(), line.end()));
    }
  }
  for (const Route& route : preview.leftovers) {
    add(fmt::format("# {}: no node has a lease for it; --adopt-stale removes it",
                    to_text(Object(route))));
  }
  for (const Object& object : preview.foreign) {
    add(fmt::format("# {}: not flannel's, it stays", to_text(object)));
  }
  for (const Shadow& shadow : preview.shadows) {
    add(fmt::format("# {}; not flannel's, it stays", to_text(shadow)));
  }
  return out;
}

}  // namespace flannel
