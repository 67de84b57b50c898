// Fuzzes what etcd may answer: any bytes give values or an exception that says what was wrong.
#include "store/etcd_messages.h"

#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "store/etcd_entry.h"

namespace {

template <class Decode>
void survive(Decode decode, std::string_view bytes) {
  try {
    (void)decode(bytes);
  } catch (const std::runtime_error&) {
    // What was wrong is said; that is all that is asked.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  survive([](std::string_view b) { return read_snapshot(etcd::decode_range(b).kvs); }, bytes);
  survive([](std::string_view b) { return read_events(etcd::decode_watch(b).events); }, bytes);
  survive(etcd::decode_txn, bytes);
  survive(etcd::decode_lease_grant, bytes);
  survive(etcd::decode_authenticate, bytes);
  return 0;
}
