// Fuzzes the other end of an HTTP/2 connection, with two requests under way: any bytes are taken,
// or end it with an exception.
#include "rpc/http2_session.h"

#include <cstdint>
#include <stdexcept>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  Http2Session session("http", "etcd");
  const auto first = session.open({.method = "POST", .path = "/a", .headers = {}, .body = "x"});
  const auto second =
      session.open({.method = "POST", .path = "/b", .headers = {}, .body = "", .end = false});
  try {
    while (!session.output().empty()) {
    }
    // In two pieces, so that frames are cut anywhere.
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    session.receive(bytes.substr(0, size / 3));
    session.receive(bytes.substr(size / 3));
    session.consume(*first, first->incoming.size());
    session.abandon(*second);
    while (!session.output().empty()) {
    }
  } catch (const std::runtime_error&) {
    session.fail("no HTTP/2");
  }
  return 0;
}
