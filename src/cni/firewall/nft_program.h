// The rules of containers in nftables: the kernel's word for what is there, and the program nft to
// change it. The daemon's own tables are firewall/nft_tables.h.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace flannel::cni {

// A name as text for the program may have it, where it is a chain or in a comment: of letters,
// digits, `_`, `.` and `-` as it is, any other byte as `_XX`; what is longer than `most` bytes ends
// in a hash of the whole name, and so does what was rewritten: no two names become one.
std::string nft_word(std::string_view name, std::size_t most);
// The name is a word already, of any length.
bool is_nft_word(std::string_view name);

// Chains are named as for the program: `ip cni_hostport hostports`.
class Nft {
 public:
  static bool installed();

  // Commands, all of them or none. Throws with the program's own words.
  static void change(const std::string& commands);

  // Asks the kernel; false where that has no nftables. Throws std::system_error.
  static bool has_chain(const std::string& chain);

  // `delete rule CHAIN handle N`, a line for each rule of a chain whose comment `matches`; nothing
  // where there is no such chain. Throws std::system_error.
  static std::string deletions(const std::string& chain,
                               const std::function<bool(std::string_view comment)>& matches);
  // How many such rules there are.
  static std::size_t count(const std::string& chain,
                           const std::function<bool(std::string_view comment)>& matches);
};

// The backend where none is asked for: `iptables`, unless only nft is there.
std::string preferred_backend();

}  // namespace flannel::cni
