#include "kube/protobuf_object.h"

#include <fmt/core.h>

#include <stdexcept>

namespace flannel {

using protobuf::bytes;
using protozero::pbf_reader;

ProtobufObject decode_protobuf_object(std::string_view object) {
  if (!object.starts_with(kProtobufMagic)) {
    throw std::runtime_error(fmt::format("{} sent an object that is no protobuf", kApiServer));
  }
  ProtobufObject out;
  protobuf::each_field(kApiServer, "Unknown", object.substr(kProtobufMagic.size()),
                       [&](pbf_reader& reader) {
                         switch (reader.tag_and_type()) {
                           case bytes(1):
                             out.kind = decode_kind(protobuf::view_of(reader));
                             break;
                           case bytes(2):
                             out.raw = protobuf::view_of(reader);
                             break;
                           default:
                             reader.skip();
                         }
                       });
  return out;
}

std::string_view decode_kind(std::string_view type_meta) {
  std::string_view kind;
  protobuf::each_field(kApiServer, "TypeMeta", type_meta, [&](pbf_reader& reader) {
    if (reader.tag_and_type() == bytes(2)) {
      kind = short_text(reader, "kind");
    } else {
      reader.skip();
    }
  });
  return kind;
}

std::string_view short_text(pbf_reader& reader, std::string_view name, std::size_t most) {
  const std::string_view view = protobuf::view_of(reader);
  if (view.size() > most) {
    throw std::runtime_error(
        fmt::format("{} sent a {} of {} bytes", kApiServer, name, view.size()));
  }
  return view;
}

}  // namespace flannel
