// The host of a World: its underlay, what happens to that, and what is not ours.

#include "ctl/process.h"
#include "test/world/world.h"

namespace flannel {
namespace {

constexpr const char* kUnderlay =
    "link add eth0 type veth peer name eth1\n"
    "link set eth1 up\n"
    "link set eth0 up\n"
    "addr replace 198.18.0.2/24 dev eth0\n"
    "addr replace fd99::2/64 dev eth0 nodad\n"
    "route replace default via 198.18.0.1\n"
    "route replace default via fd99::1 dev eth0\n";

}  // namespace

void World::in_batch(const std::string& lines) {
  RunningProgram({"ip", "-force", "-batch", "-"}, lines).wait();
}

void World::make_host() {
  in_batch(std::string("link set lo up\n") + kUnderlay);
}

// On a link that nobody touches, and as near to ours as they can be.
void World::plant_foreign_objects() {
  in_batch(
      fmt::format("link add other0 type veth peer name other1\n"
                  "link set other0 up\n"
                  "link set other1 up\n"
                  "addr add 198.19.255.1/24 dev other0\n"
                  "route add 192.0.2.0/24 dev other0\n"
                  "route add 10.5.250.0/24 via 198.19.255.9 dev other0 proto static\n"
                  "route add fc00:5:0:fa::/64 dev other0 proto static\n"
                  "neigh add 198.19.255.9 lladdr 02:00:00:00:99:09 dev other0 nud permanent\n"
                  "nexthop add id 5 via 198.19.255.9 dev other0\n"
                  "nexthop add id {} via 198.19.255.9 dev other0 proto static\n",
                  scope_.first_nexthop + 77));
  plant_foreign_rules();
}

std::string World::foreign_now() const {
  std::string text;
  for (const Arguments& command : std::initializer_list<Arguments>{
           {"ip", "-br", "link", "show", "other0"},
           {"ip", "-br", "-4", "addr", "show", "other0"},
           {"ip", "route", "show", "dev", "other0"},
           {"ip", "-6", "route", "show", "dev", "other0", "proto", "static"},
           {"ip", "neigh", "show", "dev", "other0", "nud", "permanent"},
           {"ip", "nexthop", "show", "dev", "other0"},
           {"nft", "list", "table", "inet", "other"},
           {"iptables", "-t", "nat", "-S", "OTHER"}}) {
    text += run_program(command);
  }
  return text;
}

void World::replace_by_blackhole(const Route& route) {
  tell("kernel: a blackhole in place of " + to_text(Object(route)));
  in_batch(fmt::format("route replace blackhole {} metric {}\n", route.key.dst.to_text(),
                       route.key.metric));
}

void World::restore_host() {
  if (std::exchange(host_changed_, false)) {
    in_batch(
        std::string("route del default dev eth1 metric 1\nroute del default dev eth1 metric 2\n"
                    "-6 route del default proto ra\n") +
        kUnderlay);
    // Whoever put a route in our way that is not ours to remove has taken it back.
    for (const char* family : {"-4", "-6"}) {
      RunningProgram({"ip", family, "route", "flush", "proto", "99"}).wait();
    }
  }
}

void World::change_host() {
  const unsigned what = below(13);
  host_changed_ = host_changed_ || what < 8;
  switch (what) {
    case 0:
      tell("eth0 down");
      return in_batch("link set eth0 down\n");
    case 1:
      tell("eth0 up");
      return in_batch(kUnderlay);
    case 2:
      tell("eth0 down, up");
      return in_batch(std::string("link set eth0 down\n") + kUnderlay);
    case 3:
      tell("eth0 loses its addresses");
      return in_batch("addr flush dev eth0 scope global\n");
    case 4:
      tell("eth0 is deleted and made again");
      return in_batch(std::string("link del eth0\n") + kUnderlay);
    case 5:
      tell("eth0 is deleted");
      return in_batch("link del eth0\n");
    case 6:
      tell("a better default route, which leads elsewhere");
      return in_batch("route add default dev eth1 metric 1\nroute add default dev eth1 metric 2\n");
    case 7:
      tell("a default route of router advertisements");
      return in_batch("-6 route replace default via fe80::99 dev eth0 proto ra metric 512\n");
    case 8:
      tell("a peer's address is unreachable, or not any more");
      return in_batch(below(2) == 0 ? "route replace unreachable 198.19.0.0/26\n"
                                      "route replace unreachable fd98::/121\n"
                                    : "route del 198.19.0.0/26\nroute del fd98::/121\n");
    case 9:
      tell("a rule of policy routing comes or goes");
      return in_batch(below(2) == 0 ? "route replace 198.19.0.0/26 dev eth0 table 77\n"
                                      "rule add to 198.19.0.0/26 table 77\n"
                                    : "rule del to 198.19.0.0/26 table 77\n");
    default:
      tell("a peer's address is on another link, or not any more");
      return in_batch(below(2) == 0 ? "route replace 198.19.0.0/24 dev eth0\n"
                                      "route replace fd98::/120 dev eth0\n"
                                    : "route del 198.19.0.0/24\nroute del fd98::/120 dev eth0\n");
  }
}

}  // namespace flannel
