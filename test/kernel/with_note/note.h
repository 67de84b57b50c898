// A kind of kernel object that only a test has, and the part that keeps it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "kernel/kind.h"

namespace flannel {

// A note that lies on a device.
struct Note {
  struct Key {
    std::uint32_t number = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  Dev dev;
  std::string words;
  std::uint32_t readers = 0;  // which the kernel counts
  bool operator==(const Note&) const = default;

  Reference needs() const { return {dev}; }
  void keep_moving_fields(const Note& known) { readers = known.readers; }
  std::string text() const {
    return "note " + std::to_string(key.number) + " " + words + " dev " + std::string(dev.text());
  }
};

}  // namespace flannel
