#include "kube/event_frames.h"

#include <fmt/core.h>

#include <stdexcept>

#include "kube/node_object.h"

namespace flannel {
namespace {

constexpr std::size_t kHead = 4;

std::size_t length_of(std::string_view head) {
  std::size_t length = 0;
  for (const char byte : head.substr(0, kHead)) {
    length = length << 8 | static_cast<unsigned char>(byte);
  }
  return length;
}

void check(std::size_t length) {
  if (length > kMostNodeBytes) {
    throw std::runtime_error(
        fmt::format("the API server sent an event of over {} MB", kMostNodeBytes >> 20));
  }
}

}  // namespace

void EventFrames::feed(std::string_view bytes, const OnFrame& on_frame) {
  const bool is_joined = !begun_.empty();
  if (is_joined) {
    begun_ += bytes;
    bytes = begun_;
  }
  const std::size_t size = bytes.size();
  while (const std::size_t taken = take(bytes, on_frame)) {
    bytes.remove_prefix(taken);
  }
  if (is_joined) {
    begun_.erase(0, size - bytes.size());
  } else {
    begun_ = bytes;
  }
}

std::size_t EventFrames::take(std::string_view bytes, const OnFrame& on_frame) const {
  if (form_ == Form::lines) {
    const std::size_t end = bytes.find('\n');
    check(end == std::string_view::npos ? bytes.size() : end);
    if (end == std::string_view::npos) {
      return 0;
    }
    on_frame(bytes.substr(0, end));
    return end + 1;
  }
  if (bytes.size() < kHead) {
    return 0;
  }
  const std::size_t length = length_of(bytes);
  check(length);
  if (bytes.size() < kHead + length) {
    return 0;
  }
  on_frame(bytes.substr(kHead, length));
  return kHead + length;
}

}  // namespace flannel
