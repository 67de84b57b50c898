// Tests that draw what happens from a seed.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace flannel {

// Seeds `first` to before `end`.
struct Seeds {
  std::uint64_t first, end;
};

// As many as FLANNEL_SEEDS says, or `count`, from FLANNEL_FIRST_SEED or 1 on.
inline Seeds seeds(std::uint64_t count) {
  const auto read = [](const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const std::uint64_t first = read("FLANNEL_FIRST_SEED", 1);
  return {first, first + read("FLANNEL_SEEDS", count)};
}

}  // namespace flannel
