#include "cni/ipam/host_local_config.h"

#include <algorithm>
#include <sstream>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

IpAddr offset(const IpAddr& address, Uint128 by) {
  return IpAddr::from_number(address.family(), address.number() + by);
}

// The last address that may be given out: without the broadcast address for IPv4.
IpAddr last_of(const Prefix& subnet) {
  const Uint128 size = subnet.size();  // 0 for all of IPv6, whose last is then all ones
  return offset(subnet.ip, size - (subnet.ip.is_v4() ? 2 : 1));
}

IpAddr bound(const Fields& fields, std::string_view name, const Prefix& subnet,
             const IpAddr& otherwise) {
  const std::optional<IpAddr> given = fields.address(name);
  if (given && !subnet.contains(*given)) {
    throw_error(Code::invalid_config, "{} {} not in network {}", name, given->to_text(),
                subnet.to_text());
  }
  return given.value_or(otherwise);
}

Range parse_range(const Fields& fields) {
  const std::optional<Prefix> subnet = fields.prefix("subnet");
  if (!subnet) {
    throw_error(Code::invalid_config, "a range without subnet");
  }
  if (subnet->length + 2 > subnet->ip.bits()) {
    throw_error(Code::invalid_config, "Network {} too small to allocate from", subnet->to_text());
  }
  if (subnet->masked() != *subnet) {
    throw_error(
        Code::invalid_config,
        "Network has host bits set. For a subnet mask of length {} the network address is {}",
        subnet->length, subnet->masked().ip.to_text());
  }
  Range range;
  range.subnet = *subnet;
  range.gateway = fields.address("gateway").value_or(offset(subnet->ip, 1));
  if (range.gateway.family() != subnet->family()) {  // another subnet's may be on the link
    throw_error(Code::invalid_config, "gateway {} is of another family than network {}",
                range.gateway.to_text(), subnet->to_text());
  }
  range.first = bound(fields, "rangeStart", *subnet, offset(subnet->ip, 1));
  range.last = bound(fields, "rangeEnd", *subnet, last_of(*subnet));
  if (range.first == subnet->ip) {
    throw_error(Code::invalid_config, "rangeStart {} is the address of network {} itself",
                range.first.to_text(), subnet->to_text());
  }
  if (subnet->ip.is_v4() && last_of(*subnet) < range.last) {
    throw_error(Code::invalid_config, "rangeEnd {} is the broadcast address of network {}",
                range.last.to_text(), subnet->to_text());
  }
  if (range.last < range.first) {
    throw_error(Code::invalid_config, "RangeEnd {} before RangeStart {}", range.last.to_text(),
                range.first.to_text());
  }
  return range;
}

bool overlap(const Range& a, const Range& b) {
  return a.subnet.family() == b.subnet.family() && a.first <= b.last && b.first <= a.last;
}

RangeSet parse_set(const json::value& value) {
  RangeSet set;
  if (!value.is_array() || value.get_array().empty()) {
    throw_error(Code::invalid_config, "empty range set");
  }
  for (const json::value& item : value.get_array()) {
    if (!item.is_object()) {
      throw_error(Code::invalid_config, "a range that is not an object");
    }
    const Range range = parse_range(Fields(item.get_object(), "ranges."));
    if (!set.ranges.empty() && set.ranges[0].subnet.family() != range.subnet.family()) {
      throw_error(Code::invalid_config, "mixed address families");
    }
    for (const Range& other : set.ranges) {
      if (overlap(other, range)) {
        throw_error(Code::invalid_config, "subnets {} and {} overlap", other.to_text(),
                    range.to_text());
      }
    }
    set.ranges.push_back(range);
  }
  return set;
}

void check_sets(const Request& request, const std::vector<RangeSet>& sets) {
  if (sets.empty()) {
    throw_error(Code::invalid_config, "no IP ranges specified");
  }
  std::size_t v4 = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    v4 += sets[i].ranges[0].subnet.ip.is_v4() ? 1 : 0;
    for (std::size_t j = i + 1; j < sets.size(); ++j) {
      for (const Range& range : sets[i].ranges) {
        const auto& others = sets[j].ranges;
        if (std::any_of(others.begin(), others.end(),
                        [&](const Range& other) { return overlap(range, other); })) {
          throw_error(Code::invalid_config, "range set {} overlaps with {}", i, j);
        }
      }
    }
  }
  if ((v4 > 1 || sets.size() - v4 > 1) && !request.version_at_least("0.3.0")) {
    throw_error(Code::invalid_config,
                "CNI version {} does not support more than 1 address per family", request.version);
  }
}

// An address, alone or with a length.
IpAddr parse_requested(const std::string& text) {
  const Result<IpAddr> address = IpAddr::parse(text.substr(0, text.find('/')));
  if (!address) {
    throw_error(Code::invalid_config, "cannot understand ip: {}", address.error().text);
  }
  return *address;
}

std::vector<IpAddr> parse_all_requested(const Request& request) {
  std::vector<IpAddr> out;
  const std::string of_args = parse_args(request.args, {"IP"})[0];
  if (!of_args.empty()) {
    out.push_back(parse_requested(of_args));
  }
  const Fields fields = request.fields();
  for (const std::string& text : fields.object("args").object("cni").texts("ips")) {
    out.push_back(parse_requested(text));
  }
  for (const std::string& text : fields.object("runtimeConfig").texts("ips")) {
    out.push_back(parse_requested(text));
  }
  return out;
}

}  // namespace

bool Range::contains(const IpAddr& address) const {
  return address.family() == subnet.family() && first <= address && address <= last;
}

std::string Range::to_text() const {
  return fmt::format("{}-{}", first.to_text(), last.to_text());
}

const Range* RangeSet::find(const IpAddr& address) const {
  const auto found = std::find_if(ranges.begin(), ranges.end(),
                                  [&](const Range& range) { return range.contains(address); });
  return found == ranges.end() ? nullptr : &*found;
}

std::string RangeSet::to_text() const {
  std::string out;
  for (const Range& range : ranges) {
    out.append(out.empty() ? "" : ",").append(range.to_text());
  }
  return out;
}

std::string reservations_folder(const Request& request) {
  const std::string base = request.fields().object("ipam").text("dataDir").value_or("");
  return (base.empty() ? "/var/lib/cni/networks" : base) + "/" + request.name;
}

HostLocalConfig parse_host_local(const Request& request) {
  const Fields fields = request.fields();
  if (fields.find("ipam") == nullptr) {
    throw_error(Code::invalid_config, "IPAM config missing 'ipam' key");
  }
  const Fields ipam = fields.object("ipam");
  HostLocalConfig config;
  config.folder = reservations_folder(request);
  for (const json::value& set : fields.object("runtimeConfig").array("ipRanges")) {
    config.sets.push_back(parse_set(set));
  }
  if (ipam.find("subnet") != nullptr) {  // the form before there were several ranges
    config.sets.push_back({{parse_range(ipam)}});
  }
  for (const json::value& set : ipam.array("ranges")) {
    config.sets.push_back(parse_set(set));
  }
  check_sets(request, config.sets);
  config.requested = parse_all_requested(request);
  config.routes = parse_routes(ipam, "routes");
  check_routes(config.routes);
  config.resolv_conf = ipam.text("resolvConf").value_or("");
  return config;
}

ResultDns parse_resolv_conf(std::string_view text) {
  ResultDns dns;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword, word;
    words >> keyword;
    std::vector<std::string> values;
    while (words >> word) {
      values.push_back(word);
    }
    if (values.empty()) {
      continue;
    }
    if (keyword == "nameserver") {
      dns.nameservers.push_back(values[0]);
    } else if (keyword == "domain") {
      dns.domain = values[0];
    } else if (keyword == "search" || keyword == "options") {
      std::vector<std::string>& list = keyword == "search" ? dns.search : dns.options;
      list.insert(list.end(), values.begin(), values.end());
    }
  }
  return dns;
}

}  // namespace flannel::cni
