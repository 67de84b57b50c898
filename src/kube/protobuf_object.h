// Any object of the API in protobuf: k8s.io/apimachinery, runtime/generated.proto and
// runtime/serializer/protobuf.
#pragma once

#include <string_view>

#include "kube/node_object.h"
#include "rpc/protobuf.h"

namespace flannel {

// Who sent it, for errors.
inline constexpr const char* kApiServer = "the API server";

// In front of each object.
inline constexpr std::string_view kProtobufMagic("k8s\0", 4);

// What is behind the magic, an Unknown. All views are into the bytes that were given.
struct ProtobufObject {
  std::string_view kind;  // `Node`, `Status`
  std::string_view raw;   // the object itself
};

// All throw std::runtime_error, naming the message, where the bytes are not what they should be.
ProtobufObject decode_protobuf_object(std::string_view bytes);
// The kind that a TypeMeta says.
std::string_view decode_kind(std::string_view type_meta);
// A text called `name` that cannot be longer than `most` bytes.
std::string_view short_text(protozero::pbf_reader& reader, std::string_view name,
                            std::size_t most = kMostNodeName);

}  // namespace flannel
