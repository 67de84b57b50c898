// Fuzzes flanneld's command line and environment: any words give options or an error, never a
// crash. Words are separated by NUL; the last one is the value of every variable.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> words{"flanneld"};
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\0', start), text.size());
    words.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  const flannel::ParsedOptions parsed =
      flannel::parse_options(words, [&words](const std::string&) { return words.back(); });
  (void)flannel::describe(parsed.options);
  return 0;
}
