// What a server sent cannot be what it meant.
#pragma once

#include <stdexcept>

namespace flannel {

// The answer came, and makes no sense: the same request would have the same one for some time.
struct BadAnswer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What `decode` throws is thrown as a BadAnswer.
template <class Decode>
void decode_answer(const Decode& decode) {
  try {
    decode();
  } catch (const std::runtime_error& error) {
    throw BadAnswer(error.what());
  }
}

}  // namespace flannel
