#pragma once

#include <string_view>

namespace flannel {

// In front of each object in protobuf: k8s.io/apimachinery, runtime/serializer/protobuf.
inline constexpr std::string_view kProtobufMagic("k8s\0", 4);

}  // namespace flannel
