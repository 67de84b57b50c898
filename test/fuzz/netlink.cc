// Fuzzes the netlink codecs: any bytes are read as messages or as nothing, never past their end.
#include "kernel/address_codec.h"
#include "kernel/device_counters.h"
#include "kernel/link_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/netlink_socket.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"
#include "kernel/unix_socket_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace netlink = flannel::netlink;
  netlink::Bytes rest(data, size);
  while (const std::optional<netlink::MessageView> message = netlink::next_message(rest)) {
    (void)netlink::decode_link(*message);
    (void)flannel::decode_device_counters(*message);
    (void)netlink::decode_address(*message);
    (void)netlink::decode_neighbour(*message);
    (void)netlink::decode_nexthop(*message);
    (void)netlink::decode_route(*message);
    (void)netlink::decode_default_route(*message);
    (void)netlink::decode_path(*message);
    (void)netlink::decode_answer(*message);
    (void)netlink::decode_unix_socket(*message);
  }
  return 0;
}
