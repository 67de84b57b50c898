#include "rpc/field_stream.h"

#include <fmt/core.h>

#include <algorithm>
#include <protozero/types.hpp>
#include <stdexcept>
#include <utility>

namespace flannel::protobuf {

using protozero::pbf_wire_type;

void FieldStream::malformed() const {
  throw std::runtime_error(fmt::format("{} sent a malformed {}", sender_, message_));
}

void FieldStream::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (part_ == Part::payload) {
      bytes.remove_prefix(take_payload(bytes));
    } else {
      take_head(bytes.front());
      bytes.remove_prefix(1);
    }
  }
}

void FieldStream::finish() const {
  if (part_ != Part::tag || shift_ != 0) {
    malformed();
  }
}

// True with its last byte.
bool FieldStream::take_varint(char byte) {
  if (shift_ == 0) {
    varint_ = 0;
  } else if (shift_ > 63) {
    malformed();
  }
  varint_ |= static_cast<std::uint64_t>(byte & 0x7f) << shift_;
  const bool last = (byte & 0x80) == 0;
  shift_ = last ? 0 : shift_ + 7;
  return last;
}

void FieldStream::take_head(char byte) {
  if (!take_varint(byte)) {
    return;
  }
  if (part_ == Part::number) {
    part_ = Part::tag;
    on_field_({.tag_and_type = tag_and_type_, .number = varint_, .bytes = {}, .cut = false});
    return;
  }
  if (part_ == Part::tag) {
    if (varint_ > UINT32_MAX || varint_ >> 3 == 0) {
      malformed();
    }
    tag_and_type_ = static_cast<std::uint32_t>(varint_);
    switch (static_cast<pbf_wire_type>(varint_ & 7)) {
      case pbf_wire_type::varint:
        part_ = Part::number;
        return;
      case pbf_wire_type::length_delimited:
        part_ = Part::length;
        return;
      case pbf_wire_type::fixed64:
        length_ = 8;
        break;
      case pbf_wire_type::fixed32:
        length_ = 4;
        break;
      default:
        malformed();
    }
  } else {
    length_ = varint_;
  }
  left_ = length_;
  part_ = Part::payload;
  if (left_ == 0) {
    emit({});
  }
}

// How many of the bytes belong to the payload.
std::size_t FieldStream::take_payload(std::string_view bytes) {
  const std::size_t taken = std::min<std::uint64_t>(bytes.size(), left_);
  const std::string_view mine = bytes.substr(0, taken);
  left_ -= taken;
  if (tag_and_type_ == descend_into_) {
    part_ = left_ == 0 ? Part::tag : Part::payload;
    on_part_(mine);
    return taken;
  }
  if (left_ == 0 && payload_.empty()) {  // nothing need be put together
    emit(mine.substr(0, most_bytes_));
    return taken;
  }
  payload_ += mine.substr(0, most_bytes_ - payload_.size());
  if (left_ == 0) {
    const std::string whole = std::exchange(payload_, {});
    emit(whole);
  }
  return taken;
}

void FieldStream::emit(std::string_view bytes) {
  part_ = Part::tag;
  on_field_(
      {.tag_and_type = tag_and_type_, .number = 0, .bytes = bytes, .cut = length_ > most_bytes_});
}

}  // namespace flannel::protobuf
