#include "kube/gunzip.h"

#include <zlib.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace flannel {
namespace {

constexpr int kGzip = 15 + 16;  // the largest window, and gzip's header and trailer alone
constexpr std::size_t kPart = 32 << 10;

}  // namespace

struct Gunzip::State {
  z_stream stream{};
  bool in_member = false;
  std::array<Bytef, kPart> part{};
};

Gunzip::Gunzip(std::uint64_t most, OnPart on_part)
    : state_(std::make_unique<State>()), left_(most), on_part_(std::move(on_part)) {
  if (inflateInit2(&state_->stream, kGzip) != Z_OK) {
    throw std::runtime_error("zlib cannot be used");
  }
}

Gunzip::~Gunzip() {
  inflateEnd(&state_->stream);
}

void Gunzip::feed(std::string_view bytes) {
  z_stream& stream = state_->stream;
  // zlib does not write there.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  // A full part may have more behind it, of bytes that are taken already.
  for (bool full = false; stream.avail_in > 0 || full;) {
    state_->in_member = true;
    stream.next_out = state_->part.data();
    stream.avail_out = kPart;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      throw std::runtime_error("broken gzip");
    }
    const std::size_t made = kPart - stream.avail_out;
    if (made > left_) {
      throw std::runtime_error("gzip of too much");
    }
    left_ -= made;
    full = made == kPart;
    if (made > 0) {
      on_part_({reinterpret_cast<const char*>(state_->part.data()), made});
    }
    if (result == Z_STREAM_END) {
      inflateReset(&stream);
      state_->in_member = false;
      full = false;
    }
  }
}

void Gunzip::finish() const {
  if (state_->in_member) {
    throw std::runtime_error("incomplete gzip");
  }
}

}  // namespace flannel
