// Fuzzes what an API server may send of Nodes: any bytes, in pieces of any size, packed or not,
// give values or an exception that says what was wrong; and whatever they say can be taken in.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kube/event_frames.h"
#include "kube/gunzip.h"
#include "kube/node_json.h"
#include "kube/node_messages.h"
#include "kube/node_table.h"

namespace {

using namespace flannel;

constexpr std::string_view kPrefix = "f.io/";

template <class Work>
void survive(const Work& work) {
  try {
    work();
  } catch (const std::runtime_error&) {
    // What was wrong is said; that is all that is asked.
  }
}

// The first byte says how large the pieces are.
template <class Feed>
void in_pieces(std::string_view bytes, const Feed& feed) {
  const std::size_t size = bytes.empty() ? 1 : 1 + static_cast<std::uint8_t>(bytes.front());
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
    feed(bytes.substr(0, size));
  }
}

void read_list(std::string_view bytes) {
  NodeTable table;
  table.clear("own");
  NodeListDecoder decoder(std::string(kPrefix), [&](const NodeObject& node) { table.put(node); });
  in_pieces(bytes, [&](std::string_view part) { decoder.feed(part); });
  decoder.finish();
  (void)table.take_snapshot();
}

void read_events(std::string_view bytes, EventFrames::Form form) {
  NodeTable table;
  table.clear("own");
  EventFrames frames(form);
  const auto take = [&](std::string_view frame) {
    const NodeEvent event = form == EventFrames::Form::lines ? parse_node_event(frame, kPrefix)
                                                             : decode_node_event(frame, kPrefix);
    const std::optional<NodeDigest> change =
        form == EventFrames::Form::lengths ? decode_change(frame, kPrefix) : std::nullopt;
    if (change && table.has(*change)) {  // a heartbeat, which changes nothing
      table.put(event.node);
      if (table.take_changes() != LeaseUpdate()) {
        std::abort();
      }
    }
    event.type == NodeEvent::Type::deleted ? table.remove(event.node) : table.put(event.node);
    table.learn(event.node, NodeTable::Clock::time_point());
    (void)table.take_changes();
  };
  in_pieces(bytes, [&](std::string_view part) { frames.feed(part, take); });
}

void unpack(std::string_view bytes) {
  Gunzip gunzip(1 << 20, [](std::string_view) {});
  in_pieces(bytes, [&](std::string_view part) { gunzip.feed(part); });
  gunzip.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  survive([&] { read_list(bytes); });
  survive([&] { read_events(bytes, EventFrames::Form::lengths); });
  survive([&] { read_events(bytes, EventFrames::Form::lines); });
  survive([&] { unpack(bytes); });
  survive([&] { (void)decode_node(bytes, kPrefix); });
  survive([&] { (void)decode_node(std::string("k8s\0", 4) + std::string(bytes), kPrefix); });
  survive([&] { (void)decode_node_event(bytes, kPrefix); });
  survive([&] { (void)decode_change(bytes, kPrefix); });
  survive([&] { (void)parse_node(bytes, kPrefix); });
  survive([&] { (void)parse_node_list(bytes, kPrefix); });
  return 0;
}
