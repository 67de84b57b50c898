// Texts that somebody writes who means no good.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flannel {

// A quote of 200 characters, each of them escaped in full, and a sentence around it.
inline constexpr std::size_t kLongestQuote = 200 * 4 + 200;

inline std::vector<std::string> hostile_texts() {
  using namespace std::string_literals;
  return {
      "\x1b[2J\x1b]0;owned\x07",         // a terminal's commands
      "\u009b31m",                       // the same in C1
      "a\nE1128 00:00:00 forged line",   // a line of its own
      "\r\u2028\u2029\u202e\u2066",      // others that break or turn a line
      "\xff\xfe\xc0\xaf\xed\xa0\x80",    // no UTF-8
      "\"}],\"ready\":true,\"\\",        // JSON
      "nul\0nul"s,                       //
      "{}%s%n",                          // formats
      std::string(20'000, 'A'),          //
      std::string(20'000, '\x01'),       //
      std::string(6'666, '\xe2') + "x",  // each byte the beginning of a character
      " \t ",                            //
  };
}

}  // namespace flannel
