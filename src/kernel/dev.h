// The name of a network device.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstring>
#include <string_view>

namespace flannel {

// A device name: at most 15 bytes, kept in place so that tables of thousands of objects are flat.
class Dev {
 public:
  constexpr Dev() = default;
  // Longer text is cut at 15 bytes; the kernel refuses such names.
  constexpr explicit(false) Dev(std::string_view name) {
    std::copy_n(name.begin(), std::min(name.size(), text_.size() - 1), text_.begin());
  }
  constexpr explicit(false) Dev(const char* name) : Dev(std::string_view(name)) {}

  constexpr std::string_view text() const { return text_.data(); }
  constexpr bool empty() const { return text_[0] == 0; }
  // Of all its bytes at once: tables are compared row by row with each change of a peer.
  std::strong_ordering operator<=>(const Dev& other) const {
    return std::memcmp(text_.data(), other.text_.data(), text_.size()) <=> 0;
  }
  bool operator==(const Dev& other) const {
    return std::memcmp(text_.data(), other.text_.data(), text_.size()) == 0;
  }

 private:
  std::array<char, 16> text_{};
};

}  // namespace flannel
