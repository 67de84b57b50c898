#include "daemon/path_cache.h"

#include <algorithm>

namespace flannel {
namespace {

// A setting of the host (ignore_routes_with_linkdown, a VRF) can change a way without a word.
constexpr std::chrono::minutes kGoodFor{5};

// With more changes at once everything is invalidated.
constexpr std::size_t kMostCompared = 1'000;

std::set<IpAddr> addresses_of(PeerList peers) {
  std::set<IpAddr> addresses;
  for (const Lease* peer : peers) {
    for (const Family family : kFamilies) {
      if (peer->key.family(family) && peer->attrs.public_address(family)) {
        addresses.insert(*peer->attrs.public_address(family));
      }
    }
  }
  return addresses;
}

}  // namespace

const Paths& PathCache::paths_to(PeerList peers, HostNetwork& host, Clock::time_point now) {
  if (asked_ + kGoodFor < now) {
    paths_.clear();
    asked_ = now;
  }
  const std::set<IpAddr> wanted = addresses_of(peers);
  std::erase_if(paths_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  ask(wanted, host);
  return paths_;
}

const Paths& PathCache::paths_to_more(PeerList peers, HostNetwork& host) {
  ask(addresses_of(peers), host);
  return paths_;
}

void PathCache::ask(const std::set<IpAddr>& wanted, HostNetwork& host) {
  std::vector<IpAddr> unknown;
  std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(unknown),
               [&](const IpAddr& ip) { return !paths_.contains(ip); });
  const std::vector<Path> found = host.paths(unknown);
  for (std::size_t i = 0; i < unknown.size(); ++i) {
    paths_.emplace(unknown[i], found[i]);
  }
}

bool PathCache::invalidate(const HostChanges& changes) {
  // A full table of the Internet's that flaps is not to be compared with each of thousands of
  // paths.
  const bool all = changes.all || changes.links.size() + changes.routes.size() > kMostCompared;
  const auto may_differ = [&](const IpAddr& to, const Path& path) {
    return all ||
           std::find(changes.links.begin(), changes.links.end(), path.dev) != changes.links.end() ||
           std::any_of(changes.routes.begin(), changes.routes.end(),
                       [&](const Prefix& dst) { return dst.contains(to); });
  };
  return std::erase_if(
             paths_, [&](const auto& entry) { return may_differ(entry.first, entry.second); }) > 0;
}

}  // namespace flannel
