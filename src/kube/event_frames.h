// A watch's answer, cut into its events as the bytes come.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace flannel {

class EventFrames {
 public:
  enum class Form {
    lengths,  // four bytes of length, the most significant one first, before each event:
              // k8s.io/apimachinery, util/framer; what protobuf comes in
    lines,    // an event a line: JSON
  };
  using OnFrame = std::function<void(std::string_view)>;

  explicit EventFrames(Form form) : form_(form) {}

  // Calls `on_frame` with each event that is complete with these bytes. Throws std::runtime_error
  // where one is longer than any can be.
  void feed(std::string_view bytes, const OnFrame& on_frame);
  // Some of an event has come, and the rest not yet.
  bool partial() const { return !begun_.empty(); }
  // Calls `on_frame` with the event that `bytes` begin with. How long it is with its frame; 0 where
  // it is not complete. Throws as feed(), which knows nothing of these bytes.
  std::size_t take(std::string_view bytes, const OnFrame& on_frame) const;

 private:
  Form form_;
  std::string begun_;  // a frame that is not complete, its length included
};

}  // namespace flannel
