#include "store/etcd_stream.h"

#include "base/printable.h"
#include "rpc/protobuf.h"

namespace flannel::etcd {
using protobuf::bytes;
using protobuf::number;

template <>
void RangeDecoder::take(const protobuf::FieldStream::Field& field) {
  switch (field.tag_and_type) {
    case bytes(1):
      response_.header = decode_header(field.bytes);
      break;
    case bytes(2):
      on_entry_(decode_key_value(field.bytes, field.cut));
      break;
    case number(3):
      response_.more = field.number != 0;
      break;
    case number(4):
      response_.count = field.number;
      break;
    default:
      break;
  }
}

template <>
void WatchDecoder::take(const protobuf::FieldStream::Field& field) {
  switch (field.tag_and_type) {
    case bytes(1):
      response_.header = decode_header(field.bytes);
      break;
    case number(2):
      response_.watch_id = static_cast<std::int64_t>(field.number);
      break;
    case number(3):
      response_.created = field.number != 0;
      break;
    case number(4):
      response_.canceled = field.number != 0;
      break;
    case number(5):
      response_.compact_revision = static_cast<std::int64_t>(field.number);
      break;
    case bytes(6):
      response_.cancel_reason = printable(field.bytes);
      break;
    case bytes(11):
      on_entry_(decode_event(field.bytes, field.cut));
      break;
    default:
      break;
  }
}

}  // namespace flannel::etcd
