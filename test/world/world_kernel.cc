// What others do to the kernel's state in a World.

#include "ctl/process.h"
#include "test/world/world.h"

namespace flannel {

void World::vandalise(const Op& op) {
  tell("kernel: " + to_text(op) + (vandal_->apply({&op, 1}).front().ok() ? "" : " (failed)"));
}

// Deletes, alters or flushes what is ours.
void World::change_kernel() {
  const NetState ours = present();
  std::vector<Object> objects;
  for_each_table(
      [&](const auto& table) { objects.insert(objects.end(), table.begin(), table.end()); }, ours);
  if (objects.empty()) {
    return;
  }
  Object object = objects[below(static_cast<std::uint32_t>(objects.size()))];
  if (std::holds_alternative<Ruleset>(object)) {
    return change_rules();
  }
  switch (below(6)) {
    case 0:
      return vandalise({Op::Verb::remove, object});
    case 1:  // everything of its kind
      for (const Object& other : objects) {
        if (other.index() == object.index()) {
          vandalise({Op::Verb::remove, other});
        }
      }
      return;
    case 2:  // altered
      if (Neighbour* row = std::get_if<Neighbour>(&object)) {
        row->mac = Mac::local(below(1000));
      } else if (FdbEntry* entry = std::get_if<FdbEntry>(&object)) {
        entry->remote = IpAddr::from_number(entry->remote.family(), entry->remote.number() + 1);
      } else if (Link* link = std::get_if<Link>(&object)) {
        link->mtu -= below(50);
        link->up = below(2) == 0;
        link->mac = below(2) == 0 ? Mac::local(below(1000)) : link->mac;
      } else if (Address* address = std::get_if<Address>(&object)) {
        address->key.prefix.ip =
            IpAddr::from_number(address->key.prefix.family(), address->key.prefix.ip.number() + 7);
      } else if (Route* route = std::get_if<Route>(&object)) {
        if (below(3) == 0) {
          return replace_by_blackhole(*route);
        }
        route->nexthop = 0;
        route->via.reset();
        route->dev = "eth0";
        route->onlink = false;
        route->protocol = 3;  // boot
      }
      return vandalise(
          {std::holds_alternative<Link>(object) || std::holds_alternative<Nexthop>(object)
               ? Op::Verb::change
               : Op::Verb::add,
           object});
    case 3:
      return add_beside(object);
    case 4:  // while nobody has read what happened, somebody asks for the plan
      vandalise({Op::Verb::remove, object});
      return ask_for_plan();
    default:  // a device
      for (const Link& link : ours.of<Link>()) {
        vandalise({Op::Verb::remove, link});
      }
  }
}

// Something that has the object's place beside it, or looks like it but for what no key tells.
void World::add_beside(const Object& object) {
  if (const FdbEntry* entry = std::get_if<FdbEntry>(&object)) {
    tell("kernel: another port for " + to_text(object));
    RunningProgram({"bridge", "fdb", "replace", entry->key.mac.to_text(), "dev",
                    std::string(entry->key.dev.text()), "dst", entry->remote.to_text(), "port",
                    "9999", "vni", "77", "self", "permanent"})
        .wait();
    return;
  }
  const Route* route = std::get_if<Route>(&object);
  if (route == nullptr) {
    return;
  }
  const std::string dst = route->key.dst.to_text();
  const std::string lines[] = {
      fmt::format("route prepend blackhole {} proto 99 metric {}", dst, route->key.metric),
      fmt::format("route prepend {} dev eth0 proto static metric {}", dst, route->key.metric),
      fmt::format("route append {} dev eth0 metric {}", dst, route->key.metric),
      fmt::format("route replace prohibit {} proto 99 metric {}", dst, route->key.metric / 2),
      fmt::format("route replace blackhole {}/{} proto 99", route->key.dst.ip.to_text(),
                  route->key.dst.length + 1)};
  const std::string& line = lines[below(std::size(lines))];
  tell("kernel: " + line);
  host_changed_ = true;
  in_batch(line + "\n");
}

}  // namespace flannel
