// Decoding etcd's long answers, lists and watch responses, as their bytes come: entry by entry,
// with no more in memory than one entry.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "rpc/field_stream.h"
#include "store/etcd_messages.h"

namespace flannel::etcd {

// So many bytes of an entry are kept, more than etcd takes in one request (1.5 MB) unless it is
// configured to. What is longer is cut.
inline constexpr std::size_t kMostEntryBytes = 2 << 20;

// One of etcd's long answers: `on_entry` gets its entries, which may be cut, and the rest is the
// Response.
template <class Response, class Entry>
class Decoder {
 public:
  explicit Decoder(std::function<void(Entry)> on_entry)
      : on_entry_(std::move(on_entry)),
        fields_("etcd", Response::kName, kMostEntryBytes,
                [this](const protobuf::FieldStream::Field& field) { take(field); }) {}
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void feed(std::string_view bytes) { fields_.feed(bytes); }
  void finish() const { fields_.finish(); }

  const Response& response() const { return response_; }

 private:
  void take(const protobuf::FieldStream::Field& field);

  std::function<void(Entry)> on_entry_;
  Response response_;
  protobuf::FieldStream fields_;
};

using RangeDecoder = Decoder<RangeResponse, KeyValue>;
using WatchDecoder = Decoder<WatchResponse, Event>;

template <>
void RangeDecoder::take(const protobuf::FieldStream::Field& field);
template <>
void WatchDecoder::take(const protobuf::FieldStream::Field& field);

}  // namespace flannel::etcd
