// One call of a plugin: what its environment and standard input say.
// https://github.com/containernetworking/cni/blob/main/SPEC.md, "Section 2: Execution Protocol".
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cni/protocol/fields.h"

namespace flannel::cni {

// Every version of the specification, oldest first.
inline constexpr std::array<std::string_view, 7> kVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                              "0.4.0", "1.0.0", "1.1.0"};

enum class Verb { add, check, del, gc, status };

// One container's interface.
struct Attachment {
  std::string container_id;
  std::string ifname;
  auto operator<=>(const Attachment&) const = default;
};

struct Request {
  Verb verb = Verb::add;
  Attachment attachment;  // empty for gc and status
  std::string netns;      // a path; may be empty for del
  std::string args;       // CNI_ARGS: `K=V;K=V`
  std::string path;       // CNI_PATH: folders of plugins, separated by colons
  // The plugins of ours that wait for the end of this call, each followed by a slash, which no name
  // has: one that would be run by itself would be so without end.
  std::string callers;  // FLANNEL_CNI_CALLERS
  // The plugin may work in its own network namespace (CNI_NETNS_OVERRIDE).
  bool own_netns_allowed = false;
  json::object config;
  std::string version;  // of `config`, one of kVersions
  std::string name;     // of the network

  Fields fields() const { return Fields(config); }
  // `config` at least as new as `than`, one of kVersions.
  bool version_at_least(std::string_view than) const;
};

// Where a call comes from; nothing where a variable is not set.
using Environment = std::function<const char*(const char* name)>;

// CNI_COMMAND, which may be empty or VERSION as well.
std::string command_of(const Environment& environment);
// Checks in the order of the reference's skeleton: variables (code 4), the document (6), the
// network's name (7), versions (1), the verb (4). Throws CniError.
Request parse_request(const Environment& environment, std::string_view standard_input);

// The index of a version in kVersions; throws CniError (incompatible_version) for an unknown one.
std::size_t version_index(std::string_view version);

// Of `K=V;K=V` the values of `known` names, in their order, empty where not given. Throws CniError
// for what is no pair, and for unknown names without IgnoreUnknown=1.
std::vector<std::string> parse_args(std::string_view args,
                                    const std::vector<std::string_view>& known);

// What `cni.dev/valid-attachments` of a GC call lists, sorted. Throws CniError (invalid_config)
// where there is no list, or one that does not name its containers: then nobody knows what may go.
std::vector<Attachment> valid_attachments(const Request& request);

}  // namespace flannel::cni
