#include "kube/gunzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <stdexcept>
#include <string>

namespace flannel {
namespace {

std::string gzip(std::string text) {
  std::string out(text.size() + 1'000, '\0');
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// What comes out of `bytes` in pieces of `size`, or the error.
std::string gunzip(const std::string& bytes, std::size_t size, std::uint64_t most = 1 << 20) {
  std::string out;
  try {
    Gunzip gunzip(most, [&](std::string_view part) { out += part; });
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      gunzip.feed(std::string_view(bytes).substr(at, size));
    }
    gunzip.finish();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return out;
}

TEST(Gunzip, UnpacksHoweverTheBytesCome) {
  std::string text(100'000, 'x');
  text += "end";
  const std::string packed = gzip(text);
  for (const std::size_t size : {1UL, 7UL, packed.size()}) {
    EXPECT_EQ(gunzip(packed, size), text) << size;
  }
}

TEST(Gunzip, MembersFollowOneAnother) {
  const std::string packed = gzip("one ") + gzip("") + gzip("two");
  for (const std::size_t size : {1UL, 30UL, packed.size()}) {
    EXPECT_EQ(gunzip(packed, size), "one two") << size;
  }
}

TEST(Gunzip, WhatIsNotAllThereOrNotGzipIsAnError) {
  const std::string packed = gzip("some text");
  for (std::size_t size = 1; size < packed.size(); ++size) {
    EXPECT_EQ(gunzip(packed.substr(0, size), 5), "incomplete gzip") << size;
  }
  EXPECT_EQ(gunzip("not gzip", 3), "broken gzip");
  std::string other = packed;
  other[other.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(gunzip(other, 100), "broken gzip");
}

TEST(Gunzip, AFewBytesDoNotStandForAnyNumber) {
  EXPECT_EQ(gunzip(gzip(std::string(100'000, 'x')), 1'000, 99'999), "gzip of too much");
  EXPECT_EQ(gunzip(gzip(std::string(99'999, 'x')), 1'000, 99'999).size(), 99'999U);
}

}  // namespace
}  // namespace flannel
