// Decoding etcd's long answers, lists and watch responses, as their bytes come: entry by entry,
// with no more in memory than one entry.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "store/etcd_messages.h"

namespace flannel::etcd {

// So many bytes of an entry are kept, more than etcd takes in one request (1.5 MB) unless it is
// configured to. What is longer is cut.
inline constexpr std::size_t kMostEntryBytes = 2 << 20;

// A protobuf message's fields, one after the other.
class FieldStream {
 public:
  struct Field {
    std::uint32_t tag_and_type = 0;  // as of protozero::tag_and_type()
    std::uint64_t number = 0;        // a varint's value
    std::string_view bytes;          // any other's
    bool cut = false;                // there were more than kMostEntryBytes
  };
  using OnField = std::function<void(const Field&)>;

  // `message` names it in errors.
  FieldStream(const char* message, OnField on_field)
      : message_(message), on_field_(std::move(on_field)) {}

  // The next bytes. Throws std::runtime_error where they are not protobuf.
  void feed(std::string_view bytes);
  // There are no more. Throws where they end in a field.
  void finish() const;

 private:
  enum class Part { tag, number, length, payload };

  [[noreturn]] void malformed() const;
  bool take_varint(char byte);
  void take_head(char byte);
  std::size_t take_payload(std::string_view bytes);
  void emit(std::string_view bytes);

  const char* message_;
  OnField on_field_;
  Part part_ = Part::tag;
  std::uint64_t varint_ = 0;
  unsigned shift_ = 0;  // of the varint's next seven bits
  std::uint32_t tag_and_type_ = 0;
  std::uint64_t length_ = 0;  // of the payload
  std::uint64_t left_ = 0;    // of it, not come yet
  std::string payload_;       // where it comes in several parts
};

// One of etcd's long answers: `on_entry` gets its entries, which may be cut, and the rest is the
// Response.
template <class Response, class Entry>
class Decoder {
 public:
  explicit Decoder(std::function<void(Entry)> on_entry)
      : on_entry_(std::move(on_entry)),
        fields_(Response::kName, [this](const FieldStream::Field& field) { take(field); }) {}
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void feed(std::string_view bytes) { fields_.feed(bytes); }
  void finish() const { fields_.finish(); }

  const Response& response() const { return response_; }

 private:
  void take(const FieldStream::Field& field);

  std::function<void(Entry)> on_entry_;
  Response response_;
  FieldStream fields_;
};

using RangeDecoder = Decoder<RangeResponse, KeyValue>;
using WatchDecoder = Decoder<WatchResponse, Event>;

template <>
void RangeDecoder::take(const FieldStream::Field& field);
template <>
void WatchDecoder::take(const FieldStream::Field& field);

}  // namespace flannel::etcd
