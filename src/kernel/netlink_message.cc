#include "kernel/netlink_message.h"

#include <netinet/in.h>

#include <algorithm>
#include <string>

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

template <class T>
Bytes bytes_of(const T& value) {
  return Bytes(reinterpret_cast<const std::uint8_t*>(&value), sizeof value);
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

std::optional<Attribute> find_attribute(Bytes attributes, std::uint16_t type) {
  std::optional<Attribute> attribute = next_attribute(attributes);
  while (attribute && attribute->type != type) {
    attribute = next_attribute(attributes);
  }
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

Batch::Batch() : buffer_(kMessageMax) {}

nlmsghdr* Batch::current() {
  return reinterpret_cast<nlmsghdr*>(buffer_.data() + starts_.back());
}

// Counts what was put since the last begin().
void Batch::close_message() {
  if (!starts_.empty()) {
    used_ = starts_.back() + NLMSG_ALIGN(current()->nlmsg_len);
  }
}

void* Batch::begin_message(std::uint16_t type, std::uint16_t flags, std::size_t header_size) {
  close_message();
  if (buffer_.size() < used_ + kMessageMax) {
    buffer_.resize(2 * buffer_.size());
  }
  starts_.push_back(used_);
  asks_ = false;
  const nlmsghdr header{.nlmsg_len = NLMSG_HDRLEN,
                        .nlmsg_type = type,
                        .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags)};
  std::memcpy(buffer_.data() + used_, &header, sizeof header);
  return put_raw(header_size);
}

void* Batch::put_raw(std::size_t size) {
  const std::size_t at = starts_.back() + current()->nlmsg_len;
  const std::size_t aligned = NLMSG_ALIGN(size);
  if (at + aligned > buffer_.size()) {  // a message beyond kMessageMax
    buffer_.resize(2 * (at + aligned));
  }
  std::memset(buffer_.data() + at, 0, aligned);
  current()->nlmsg_len += static_cast<std::uint32_t>(aligned);
  return buffer_.data() + at;
}

void Batch::put_bytes(std::uint16_t type, Bytes bytes) {
  const nlattr header{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + bytes.size()),
                      .nla_type = type};
  std::uint8_t* at = static_cast<std::uint8_t*>(put_raw(header.nla_len));
  std::memcpy(at, &header, sizeof header);
  std::copy(bytes.begin(), bytes.end(), at + NLA_HDRLEN);
}

void Batch::put_u8(std::uint16_t type, std::uint8_t value) {
  put_bytes(type, Bytes(&value, 1));
}

void Batch::put_u16(std::uint16_t type, std::uint16_t value) {
  put_bytes(type, bytes_of(value));
}

void Batch::put_u32(std::uint16_t type, std::uint32_t value) {
  put_bytes(type, bytes_of(value));
}

void Batch::put_big_endian16(std::uint16_t type, std::uint16_t value) {
  put_u16(type, htons(value));
}

void Batch::put_ip(std::uint16_t type, const IpAddr& ip) {
  put_bytes(type, Bytes(ip.bytes()).first(ip.size()));
}

void Batch::put_mac(std::uint16_t type, const Mac& mac) {
  put_bytes(type, mac.bytes);
}

void Batch::put_text(std::uint16_t type, std::string_view text) {
  const std::string terminated(text.substr(0, 255));
  put_bytes(type, Bytes(reinterpret_cast<const std::uint8_t*>(terminated.c_str()),
                        terminated.size() + 1));
}

void Batch::put_flag(std::uint16_t type) {
  put_bytes(type, {});
}

std::size_t Batch::nest(std::uint16_t type) {
  const std::size_t at = starts_.back() + current()->nlmsg_len;
  put_bytes(type | NLA_F_NESTED, {});
  return at;
}

void Batch::end_nest(std::size_t nest) {
  const std::size_t end = starts_.back() + current()->nlmsg_len;
  reinterpret_cast<nlattr*>(buffer_.data() + nest)->nla_len =
      static_cast<std::uint16_t>(end - nest);
}

void Batch::clear() {
  used_ = 0;
  starts_.clear();
}

Bytes Batch::finish(std::uint32_t first_sequence) {
  return finish(first_sequence, asks_ ? 0 : NLM_F_ACK);
}

Bytes Batch::finish_dump(std::uint32_t sequence) {
  return finish(sequence, NLM_F_DUMP);
}

Bytes Batch::finish(std::uint32_t first_sequence, std::uint16_t flags) {
  close_message();
  for (const std::size_t start : starts_) {
    reinterpret_cast<nlmsghdr*>(buffer_.data() + start)->nlmsg_seq = first_sequence++;
  }
  if (!starts_.empty()) {
    current()->nlmsg_flags = static_cast<std::uint16_t>(current()->nlmsg_flags | flags);
  }
  return Bytes(buffer_).first(used_);
}

}  // namespace flannel::netlink
