// A body with `Content-Encoding: gzip`, unpacked as it comes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace flannel {

class Gunzip {
 public:
  using OnPart = std::function<void(std::string_view)>;

  // More than `most` unpacked bytes are an error, as a few kilobytes may stand for any number.
  Gunzip(std::uint64_t most, OnPart on_part);
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip();

  // The next bytes; several members may follow one another (RFC 1952, 2.2). Both throw
  // std::runtime_error where they are not gzip.
  void feed(std::string_view bytes);
  // There are no more; also throws where the last member is not complete.
  void finish() const;

 private:
  struct State;

  std::unique_ptr<State> state_;
  std::uint64_t left_;
  OnPart on_part_;
};

}  // namespace flannel
