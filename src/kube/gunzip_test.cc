#include "kube/gunzip.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "kube/gzip_fixture.h"

namespace flannel {
namespace {

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
  const std::string packed = gzipped(text);
  for (const std::size_t size : {1UL, 7UL, packed.size()}) {
    EXPECT_EQ(gunzip(packed, size), text) << size;
  }
}

TEST(Gunzip, MembersFollowOneAnother) {
  const std::string packed = gzipped("one ") + gzipped("") + gzipped("two");
  for (const std::size_t size : {1UL, 30UL, packed.size()}) {
    EXPECT_EQ(gunzip(packed, size), "one two") << size;
  }
}

TEST(Gunzip, WhatIsNotAllThereOrNotGzipIsAnError) {
  const std::string packed = gzipped("some text");
  for (std::size_t size = 1; size < packed.size(); ++size) {
    EXPECT_EQ(gunzip(packed.substr(0, size), 5), "incomplete gzip") << size;
  }
  EXPECT_EQ(gunzip("not gzip", 3), "broken gzip");
  std::string other = packed;
  other[other.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(gunzip(other, 100), "broken gzip");
}

TEST(Gunzip, AFewBytesDoNotStandForAnyNumber) {
  EXPECT_EQ(gunzip(gzipped(std::string(100'000, 'x')), 1'000, 99'999), "gzip of too much");
  EXPECT_EQ(gunzip(gzipped(std::string(99'999, 'x')), 1'000, 99'999).size(), 99'999U);
}

}  // namespace
}  // namespace flannel
