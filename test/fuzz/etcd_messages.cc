// Fuzzes what etcd may answer: any bytes, in pieces of any size, give values or an exception that
// says what was wrong.
#include "store/etcd_messages.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "store/etcd_entry.h"
#include "store/etcd_stream.h"

namespace {

template <class Decode>
void survive(Decode decode, std::string_view bytes) {
  try {
    (void)decode(bytes);
  } catch (const std::runtime_error&) {
    // What was wrong is said; that is all that is asked.
  }
}

// The first byte says how large the pieces are.
template <class Decoder>
void feed(Decoder& decoder, std::string_view bytes) {
  const std::size_t size = bytes.empty() ? 1 : 1 + static_cast<std::uint8_t>(bytes.front());
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
    decoder.feed(bytes.substr(0, size));
  }
  decoder.finish();
}

void read_list(std::string_view bytes) {
  const flannel::EtcdLayout layout("/coreos.com/network");
  flannel::SnapshotReader reader(layout);
  flannel::etcd::RangeDecoder decoder(
      [&](flannel::etcd::KeyValue entry) { reader.add(std::move(entry)); });
  feed(decoder, bytes);
  reader.expect(decoder.response().count);
}

void read_watch(std::string_view bytes) {
  const flannel::EtcdLayout layout("/coreos.com/network");
  flannel::EventReader reader(layout);
  flannel::etcd::WatchDecoder decoder(
      [&](const flannel::etcd::Event& event) { reader.add(event); });
  feed(decoder, bytes);
  (void)reader.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  survive([](std::string_view b) { return read_list(b), 0; }, bytes);
  survive([](std::string_view b) { return read_watch(b), 0; }, bytes);
  survive([](std::string_view b) { return etcd::decode_event(b, true); }, bytes);
  survive(etcd::decode_txn, bytes);
  survive(etcd::decode_lease_grant, bytes);
  survive(etcd::decode_authenticate, bytes);
  return 0;
}
