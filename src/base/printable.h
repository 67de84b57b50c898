// Text that others wrote, made fit for a terminal, a log line, a JSON document or a file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flannel {

// How much of a foreign text is quoted.
inline constexpr std::size_t kPrintableMost = 200;
// How long a sentence of ours may be that quotes others.
inline constexpr std::size_t kSentenceMost = 1'000;

// `text` as valid UTF-8 on one line: control characters (C0, DEL, C1), the separators of lines and
// of paragraphs, marks that change the direction of writing, and every byte that is not part of
// valid UTF-8 (RFC 3629) are written as \xNN, a byte each; what is longer than `most` characters
// ends in `…`. Text without any of these comes back as it is, and so does the result.
std::string printable(std::string_view text, std::size_t most = kPrintableMost);

}  // namespace flannel
