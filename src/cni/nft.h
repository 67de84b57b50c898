// The program nft.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flannel::cni {

class Nft {
 public:
  static bool installed();

  // Commands, all of them or none. Throws CniError with the program's own words.
  static void change(const std::string& commands);

  // Handles of the rules of a chain, `ip cni_hostport hostports`, whose comment `matches`; none
  // where there is no such chain, or no such program.
  static std::vector<std::string> handles(
      const std::string& chain, const std::function<bool(std::string_view comment)>& matches);
};

// `delete rule CHAIN handle N`, a line for each.
std::string deletions(const std::string& chain, const std::vector<std::string>& handles);

}  // namespace flannel::cni
