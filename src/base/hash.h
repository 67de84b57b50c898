// A hash whose values may be stored and compared between runs and machines.
#pragma once

#include <cstdint>
#include <string_view>

namespace flannel {

// FNV-1a with a final mix (splitmix64's), since FNV alone leaves similar texts with similar high
// bits. Not for secrets.
constexpr std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
  return hash ^ hash >> 31;
}

}  // namespace flannel
