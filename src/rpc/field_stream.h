// A long protobuf message, field by field, as its bytes come.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace flannel::protobuf {

class FieldStream {
 public:
  struct Field {
    std::uint32_t tag_and_type = 0;  // as of number() and bytes()
    std::uint64_t number = 0;        // a varint's value
    std::string_view bytes;          // any other's
    bool cut = false;                // there were more than kept
  };
  using OnField = std::function<void(const Field&)>;
  using OnPart = std::function<void(std::string_view)>;

  // `sender` and `message` are for errors. Of a field `most_bytes` are kept at most.
  FieldStream(const char* sender, const char* message, std::size_t most_bytes, OnField on_field)
      : sender_(sender),
        message_(message),
        most_bytes_(most_bytes),
        on_field_(std::move(on_field)) {}

  // What the field `tag_and_type` holds is not put together and goes to `on_part` as it comes.
  void descend(std::uint32_t tag_and_type, OnPart on_part) {
    descend_into_ = tag_and_type;
    on_part_ = std::move(on_part);
  }

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

  const char* sender_;
  const char* message_;
  std::size_t most_bytes_;
  OnField on_field_;
  std::uint32_t descend_into_ = 0;  // no field's
  OnPart on_part_;
  Part part_ = Part::tag;
  std::uint64_t varint_ = 0;
  unsigned shift_ = 0;  // of the varint's next seven bits
  std::uint32_t tag_and_type_ = 0;
  std::uint64_t length_ = 0;  // of the payload
  std::uint64_t left_ = 0;    // of it, not come yet
  std::string payload_;       // where it comes in several parts
};

}  // namespace flannel::protobuf
