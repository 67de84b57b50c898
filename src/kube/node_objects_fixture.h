// Objects as an API server sends them.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "kube/node_object.h"

namespace flannel {

inline const std::string kPrefix = "flannel.alpha.coreos.com/";

// test/recorded/kube_objects.hex: what the serializers of k8s.io/apimachinery 0.36 make of three
// Nodes, by name; events are in their frames.
inline std::map<std::string, std::string> recorded_objects() {
  std::ifstream file(FLANNEL_SOURCE_DIR "/test/recorded/kube_objects.hex");
  std::map<std::string, std::string> out;
  for (std::string name, hex; file >> name >> hex;) {
    std::string& bytes = out[name];
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
  }
  return out;
}

inline Annotations annotations_of(const std::string& ip, const std::string& mac) {
  return {{"backend-data", R"({"VNI":1,"VtepMAC":")" + mac + "\"}"},
          {"backend-type", "vxlan"},
          {"kube-subnet-manager", "true"},
          {"public-ip", ip}};
}

// Two peers, and one Node that flannel does not run on.
inline NodeObject recorded_node(int number) {
  NodeObject node{.name = "n" + std::to_string(number),
                  .uid = "4b0f3a54-000" + std::to_string(number) + "-4000-8000-00000000000" +
                         std::to_string(number),
                  .version = number == 1   ? "101"
                             : number == 2 ? "99"
                                           : "100",
                  .whole = true,
                  .network_unavailable = "True"};
  if (number == 1) {
    node.pod_cidrs = {"10.244.1.0/24", "fc00:244:0:1::/64"};
    node.annotations = annotations_of("198.18.0.11", "02:00:5e:10:00:01");
  } else if (number == 2) {
    node.pod_cidrs = {"10.244.2.0/24"};
    node.annotations = annotations_of("198.18.0.12", "02:00:5e:10:00:02");
  }
  return node;
}

inline NodeDigest digest_of(const NodeObject& node) {
  NodeDigest out{.name = node.name, .uid = node.uid, .version = node.version};
  for (const auto& [name, value] : node.annotations) {
    out.annotations += annotation_digest(name, value);
  }
  return out;
}

inline NodeObject metadata_of(NodeObject node) {
  node.whole = false;
  node.pod_cidrs.clear();
  node.network_unavailable.reset();
  return node;
}

}  // namespace flannel
