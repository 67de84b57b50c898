#include "kube/node_annotations.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "base/printable.h"
#include "base/utc_text.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr std::string_view kManaged = "kube-subnet-manager";
constexpr std::string_view kBackendType = "backend-type";
constexpr std::string_view kNoData = "null";

// The annotations of a family.
struct Names {
  std::string_view address, overwrite, node_address, data;
};
constexpr Names names_of(Family family) {
  return family == Family::v4 ? Names{.address = "public-ip",
                                      .overwrite = "public-ip-overwrite",
                                      .node_address = "node-public-ip",
                                      .data = "backend-data"}
                              : Names{.address = "public-ipv6",
                                      .overwrite = "public-ipv6-overwrite",
                                      .node_address = "node-public-ipv6",
                                      .data = "backend-v6-data"};
}

// Empty for one that is not there, as in Go.
std::string_view value_of(const Annotations& annotations, std::string_view name) {
  const auto found = annotations.find(name);
  return found == annotations.end() ? std::string_view() : found->second;
}

// Nothing where there is no address. Error: what is there is none of that family.
Result<std::optional<IpAddr>> address_of(const Annotations& annotations, std::string_view name,
                                         Family family) {
  const std::string_view text = value_of(annotations, name);
  if (text.empty()) {
    return std::nullopt;
  }
  const Result<IpAddr> address = IpAddr::parse(text);
  if (!address || address->family() != family) {
    return fail("annotation {} \"{}\": not an {} address", name, printable(text), to_text(family));
  }
  return address->is_unspecified() ? std::nullopt : std::optional(*address);
}

// As LeaseAttrs has it: JSON without blanks, or empty for none.
Result<std::string> data_of(const Annotations& annotations, std::string_view name) {
  const std::string_view text = value_of(annotations, name);
  if (text.empty() || text == kNoData) {
    return "";
  }
  boost::system::error_code error;
  const json::value data = text.size() > kMostLeaseValue
                               ? json::value()
                               : json::parse({text.data(), text.size()}, error);
  if (error || text.size() > kMostLeaseValue) {
    return fail("annotation {} \"{}\": not JSON", name, printable(text));
  }
  return data.is_null() ? std::string() : json::serialize(data);
}

template <class T>
bool take(Result<T> from, T& to, std::optional<Error>& error) {
  if (!from) {
    error = error.value_or(from.error());
    return false;
  }
  to = std::move(*from);
  return true;
}

// What a family's annotations are to be; nothing where there are to be none. As the reference has
// it, a vxlan device says that a family is in use, and otherwise IPv4 always is.
struct Part {
  std::optional<std::string> address, data;
};
Part part_of(const LeaseAttrs& attrs, Family family) {
  const std::optional<IpAddr>& address = attrs.public_address(family);
  const std::string& data = attrs.data(family);
  const bool in_use =
      attrs.backend_type == "vxlan" ? address && !data.empty() : family == Family::v4 || address;
  if (!in_use) {
    return {};
  }
  return {.address = address.value_or(IpAddr()).to_text(),
          .data = data.empty() ? std::string(kNoData) : data};
}

}  // namespace

bool is_managed(const Annotations& annotations) {
  return value_of(annotations, kManaged) == "true";
}

Result<LeaseAttrs> attrs_of(const Annotations& annotations) {
  LeaseAttrs out;
  std::optional<Error> error;
  out.backend_type = value_of(annotations, kBackendType);
  take(address_of(annotations, names_of(Family::v4).address, Family::v4), out.public_ip, error);
  take(address_of(annotations, names_of(Family::v6).address, Family::v6), out.public_ipv6, error);
  take(data_of(annotations, names_of(Family::v4).data), out.backend_data, error);
  take(data_of(annotations, names_of(Family::v6).data), out.backend_v6_data, error);
  return error ? Result<LeaseAttrs>(std::unexpected(*error)) : out;
}

Result<LeaseKey> subnets_of(const NodeObject& node) {
  LeaseKey out;
  for (const std::string& text : node.pod_cidrs) {
    const Result<Prefix> cidr = Prefix::parse(text);
    if (!cidr) {
      return fail("podCIDR \"{}\": not a CIDR", printable(text));
    }
    std::optional<Prefix>& part = cidr->family() == Family::v4 ? out.v4 : out.v6;
    if (part) {
      return fail("two podCIDRs of one family, {} and {}", part->to_text(), cidr->to_text());
    }
    part = cidr->masked();
  }
  return out;
}

Result<NodeFacts> facts_of(const Annotations& annotations) {
  NodeFacts facts;
  std::optional<Error> error;
  take(address_of(annotations, names_of(Family::v4).node_address, Family::v4), facts.public_ip,
       error);
  take(address_of(annotations, names_of(Family::v6).node_address, Family::v6), facts.public_ipv6,
       error);
  if (error) {
    return std::unexpected(*error);
  }
  // What cannot be read is written anew.
  if (Result<LeaseAttrs> published = attrs_of(annotations); published && is_managed(annotations)) {
    facts.published = std::move(*published);
  }
  return facts;
}

Result<AnnotationChanges> changes_to(const LeaseAttrs& attrs, const Annotations& present) {
  AnnotationChanges wanted;
  wanted.emplace(kManaged, "true");
  wanted.emplace(kBackendType, attrs.backend_type);
  for (const Family family : kFamilies) {
    const Names names = names_of(family);
    Part part = part_of(attrs, family);
    const Result<std::optional<IpAddr>> overwrite = address_of(present, names.overwrite, family);
    if (!overwrite) {
      return std::unexpected(overwrite.error());
    }
    if (part.address && *overwrite) {
      part.address = (*overwrite)->to_text();
    }
    wanted.emplace(names.address, std::move(part.address));
    wanted.emplace(names.data, std::move(part.data));
  }
  std::erase_if(wanted, [&](const auto& change) {
    const auto& [name, value] = change;
    const auto found = present.find(name);
    return value ? found != present.end() && found->second == *value : found == present.end();
  });
  return wanted;
}

std::string annotations_patch(const AnnotationChanges& changes, std::string_view prefix) {
  json::object annotations;
  for (const auto& [name, value] : changes) {
    annotations[std::string(prefix) + name] =
        value ? json::value(json::string(*value)) : json::value(nullptr);
  }
  return json::serialize(json::object{{"metadata", {{"annotations", std::move(annotations)}}}});
}

std::string network_available_patch(std::chrono::system_clock::time_point now) {
  return fmt::format(
      R"({{"status":{{"conditions":[{{"type":"NetworkUnavailable","status":"False",)"
      R"("lastHeartbeatTime":"{0}","lastTransitionTime":"{0}","reason":"FlannelIsUp",)"
      R"("message":"Flannel is running on this node"}}]}}}})",
      utc_text(now));
}

}  // namespace flannel
