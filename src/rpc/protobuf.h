// Reading protobuf messages that others sent, field by field.
#pragma once

#include <fmt/core.h>

#include <protozero/pbf_reader.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace flannel::protobuf {

// A field's number together with its wire type: a known number of another type is an unknown field.
constexpr std::uint32_t number(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::varint);
}
constexpr std::uint32_t bytes(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::length_delimited);
}

// Calls `field` with the reader at each field, which must take the value or skip it. Throws
// std::runtime_error where the bytes are not protobuf: `etcd sent a malformed KeyValue: …`.
template <class Field>
void each_field(std::string_view sender, std::string_view message, std::string_view view,
                const Field& field) {
  try {
    protozero::pbf_reader reader(view.data(), view.size());
    while (reader.next()) {
      field(reader);
    }
  } catch (const protozero::exception& error) {
    throw std::runtime_error(
        fmt::format("{} sent a malformed {}: {}", sender, message, error.what()));
  }
}

inline std::string_view view_of(protozero::pbf_reader& reader) {
  const protozero::data_view view = reader.get_view();
  return {view.data(), view.size()};
}
inline std::string text_of(protozero::pbf_reader& reader) {
  return std::string(view_of(reader));
}
// Not pbf_reader::get_bool(), which reads a byte beyond a message that ends with the tag.
inline bool bool_of(protozero::pbf_reader& reader) {
  return reader.get_uint64() != 0;
}

}  // namespace flannel::protobuf
