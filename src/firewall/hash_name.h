// Names of chains and rules, made of who they are for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flannel {

// `prefix` and as many hexadecimal digits of text's SHA-512 as make `length` characters in all.
std::string hash_name(std::string_view prefix, std::string_view text, std::size_t length);

}  // namespace flannel
