// Netlink messages: written one behind the other into a buffer, read through bounds-checked views.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"

namespace flannel::netlink {

using Bytes = std::span<const std::uint8_t>;

// A received message. `payload` is what follows the header.
struct MessageView {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  Bytes payload;
};

// Takes the next message off `rest`; nothing at the end, or where what follows is cut short
// (`rest` is then empty too).
std::optional<MessageView> next_message(Bytes& rest);

struct Attribute {
  std::uint16_t type = 0;  // without the nested and byte-order flags
  Bytes data;

  // The value, where the attribute has exactly that size.
  std::optional<std::uint8_t> u8() const;
  std::optional<std::uint32_t> u32() const;
  std::optional<std::uint16_t> big_endian16() const;
  std::optional<IpAddr> ip() const { return IpAddr::from_bytes(data); }
  std::optional<Mac> mac() const;
  // Up to the first NUL.
  std::string_view text() const;
};

// As next_message(), for attributes.
std::optional<Attribute> next_attribute(Bytes& rest);
// The first of this type.
std::optional<Attribute> find_attribute(Bytes attributes, std::uint16_t type);

// Takes a fixed header off the front; nothing where there are too few bytes.
template <class Header>
std::optional<Header> take_header(Bytes& rest) {
  constexpr std::size_t kAligned = NLMSG_ALIGN(sizeof(Header));
  if (rest.size() < sizeof(Header)) {
    return std::nullopt;
  }
  Header header;
  std::memcpy(&header, rest.data(), sizeof header);
  rest = rest.subspan(std::min(kAligned, rest.size()));
  return header;
}

// Requests for one sendmsg().
class Batch {
 public:
  // What a message may add; our largest, a new link, needs a third of it.
  static constexpr std::size_t kMessageMax = 1024;

  Batch();

  // Starts a message; what put_… and nest add goes into it until the next begin().
  template <class Header>
  void begin(std::uint16_t type, std::uint16_t flags, const Header& header) {
    void* at = begin_message(type, flags, sizeof header);
    std::memcpy(at, &header, sizeof header);
  }
  // The same for a question: one object answers it, or an error, and nothing more.
  template <class Header>
  void ask(std::uint16_t type, const Header& header) {
    begin(type, 0, header);
    asks_ = true;
  }
  void put_u8(std::uint16_t type, std::uint8_t value);
  void put_u16(std::uint16_t type, std::uint16_t value);
  void put_u32(std::uint16_t type, std::uint32_t value);
  void put_bytes(std::uint16_t type, Bytes bytes);
  void put_big_endian16(std::uint16_t type, std::uint16_t value);
  void put_ip(std::uint16_t type, const IpAddr& ip);
  void put_mac(std::uint16_t type, const Mac& mac);
  void put_text(std::uint16_t type, std::string_view text);
  void put_flag(std::uint16_t type);
  // Everything put between nest() and end_nest(its result) lies inside the attribute.
  std::size_t nest(std::uint16_t type);
  // Bytes without an attribute's header, as VETH_INFO_PEER begins with.
  template <class Header>
  void put_header(const Header& header) {
    std::memcpy(put_raw(sizeof header), &header, sizeof header);
  }
  void end_nest(std::size_t nest);

  std::size_t count() const { return starts_.size(); }
  bool empty() const { return starts_.empty(); }
  // Bytes so far.
  std::size_t size() const { return used_; }
  // The last message is a question.
  bool asks() const { return asks_; }
  void clear();

  // Numbers the messages from `first_sequence` and sees to it that the last one is answered.
  Bytes finish(std::uint32_t first_sequence);
  // The same for a single message that asks for a whole list.
  Bytes finish_dump(std::uint32_t sequence);

 private:
  void* begin_message(std::uint16_t type, std::uint16_t flags, std::size_t header_size);
  void* put_raw(std::size_t size);
  nlmsghdr* current();
  void close_message();
  Bytes finish(std::uint32_t first_sequence, std::uint16_t flags);

  std::vector<std::uint8_t> buffer_;
  bool asks_ = false;
  std::size_t used_ = 0;             // bytes up to the end of the last message
  std::vector<std::size_t> starts_;  // offsets of the messages
};

}  // namespace flannel::netlink
