#include "network/json_document.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/printable.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kQuoted = 20;

// What is there: `line 2, column 7: "} }"`; where nothing is, what it stands behind.
std::string place(std::string_view text, std::size_t at) {
  const bool is_end = text.find_first_not_of(kBlanks, at) == std::string_view::npos;
  if (is_end) {
    at = text.find_last_not_of(kBlanks) + 1;
  }
  const std::string_view before = text.substr(0, at);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t line_start = before.rfind('\n') + 1;
  const std::string_view there =
      is_end ? before.substr(std::max(line_start, at - std::min(at, kQuoted)))
             : text.substr(at, text.find('\n', at) - at);
  return fmt::format("line {}, column {}{}: \"{}\"", line, at - line_start + 1,
                     is_end ? ", the end, behind" : "", printable(there, kQuoted));
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::string_view what) {
  if (text.find_first_not_of(kBlanks) == std::string_view::npos) {
    return fail("{} is empty: unexpected end of JSON input", what);
  }
  boost::system::error_code error;
  json::parser parser;
  const std::size_t read = parser.write_some({text.data(), text.size()}, error);
  if (error) {
    return fail("{} is not JSON: {} at {}", what, error.message(), place(text, read));
  }
  const std::size_t more = text.find_first_not_of(kBlanks, read);
  if (more != std::string_view::npos) {
    return fail("{} is not JSON: more behind its end, at {}", what, place(text, more));
  }
  return parser.release();
}

}  // namespace flannel
