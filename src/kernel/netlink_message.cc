#include "kernel/netlink_message.h"

#include <libmnl/libmnl.h>

#include <algorithm>

namespace flannel::netlink {
namespace {

template <class T>
std::optional<T> exactly(Bytes data) {
  if (data.size() != sizeof(T)) {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, data.data(), sizeof value);
  return value;
}

}  // namespace

std::optional<MessageView> next_message(Bytes& rest) {
  nlmsghdr header;
  if (rest.size() < sizeof header) {
    rest = {};
    return std::nullopt;
  }
  std::memcpy(&header, rest.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) {
    rest = {};
    return std::nullopt;
  }
  const MessageView message{header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
                            rest.subspan(sizeof header, header.nlmsg_len - sizeof header)};
  rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
  return message;
}

std::optional<Attribute> next_attribute(Bytes& rest) {
  nlattr header;
  if (rest.size() < sizeof header) {
    rest = {};
    return std::nullopt;
  }
  std::memcpy(&header, rest.data(), sizeof header);
  if (header.nla_len < sizeof header || header.nla_len > rest.size()) {
    rest = {};
    return std::nullopt;
  }
  const Attribute attribute{static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                            rest.subspan(sizeof header, header.nla_len - sizeof header)};
  rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), rest.size()));
  return attribute;
}

std::optional<std::uint8_t> Attribute::u8() const {
  return exactly<std::uint8_t>(data);
}

std::optional<std::uint32_t> Attribute::u32() const {
  return exactly<std::uint32_t>(data);
}

std::optional<std::uint16_t> Attribute::big_endian16() const {
  if (data.size() != 2) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(data[0] << 8 | data[1]);
}

std::optional<Mac> Attribute::mac() const {
  return exactly<Mac>(data);
}

std::string_view Attribute::text() const {
  const std::string_view all(reinterpret_cast<const char*>(data.data()), data.size());
  return all.substr(0, all.find('\0'));
}

Batch::Batch() : buffer_(4 * kMessageMax) {}

nlmsghdr* Batch::current() {
  return reinterpret_cast<nlmsghdr*>(buffer_.data() + starts_.back());
}

// Counts what was put since the last begin().
void Batch::settle() {
  if (!starts_.empty()) {
    used_ = starts_.back() + NLMSG_ALIGN(current()->nlmsg_len);
  }
}

void* Batch::begin_message(std::uint16_t type, std::uint16_t flags, std::size_t header_size) {
  settle();
  if (buffer_.size() < used_ + kMessageMax) {
    buffer_.resize(2 * buffer_.size());
  }
  starts_.push_back(used_);
  nlmsghdr* header = mnl_nlmsg_put_header(buffer_.data() + used_);
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  return mnl_nlmsg_put_extra_header(header, header_size);
}

void Batch::put_u8(std::uint16_t type, std::uint8_t value) {
  mnl_attr_put_u8(current(), type, value);
}

void Batch::put_u16(std::uint16_t type, std::uint16_t value) {
  mnl_attr_put_u16(current(), type, value);
}

void Batch::put_bytes(std::uint16_t type, Bytes bytes) {
  mnl_attr_put(current(), type, bytes.size(), bytes.data());
}

void* Batch::put_raw(std::size_t size) {
  return mnl_nlmsg_put_extra_header(current(), size);
}

void Batch::put_u32(std::uint16_t type, std::uint32_t value) {
  mnl_attr_put_u32(current(), type, value);
}

void Batch::put_big_endian16(std::uint16_t type, std::uint16_t value) {
  const std::uint8_t bytes[] = {static_cast<std::uint8_t>(value >> 8),
                                static_cast<std::uint8_t>(value)};
  mnl_attr_put(current(), type, sizeof bytes, bytes);
}

void Batch::put_ip(std::uint16_t type, const IpAddr& ip) {
  mnl_attr_put(current(), type, ip.size(), ip.bytes().data());
}

void Batch::put_mac(std::uint16_t type, const Mac& mac) {
  mnl_attr_put(current(), type, mac.bytes.size(), mac.bytes.data());
}

void Batch::put_text(std::uint16_t type, std::string_view text) {
  const std::string terminated(text.substr(0, 255));
  mnl_attr_put_strz(current(), type, terminated.c_str());
}

void Batch::put_flag(std::uint16_t type) {
  mnl_attr_put(current(), type, 0, nullptr);
}

std::size_t Batch::nest(std::uint16_t type) {
  const nlattr* nest = mnl_attr_nest_start(current(), type);
  return static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(nest) - buffer_.data());
}

void Batch::end_nest(std::size_t nest) {
  mnl_attr_nest_end(current(), reinterpret_cast<nlattr*>(buffer_.data() + nest));
}

void Batch::clear() {
  used_ = 0;
  starts_.clear();
}

Bytes Batch::finish(std::uint32_t first_sequence, std::uint16_t extra) {
  settle();
  for (const std::size_t start : starts_) {
    reinterpret_cast<nlmsghdr*>(buffer_.data() + start)->nlmsg_seq = first_sequence++;
  }
  if (!starts_.empty()) {
    current()->nlmsg_flags = static_cast<std::uint16_t>(current()->nlmsg_flags | extra);
  }
  return Bytes(buffer_).first(used_);
}

}  // namespace flannel::netlink
