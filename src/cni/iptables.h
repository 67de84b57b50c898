// The programs iptables and ip6tables, as few runs of them as can be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace flannel::cni {

// The words of a rule behind `-A CHAIN`.
using RuleWords = std::vector<std::string>;

// `-A CHAIN WORD …`, words quoted where they have to be; `command` is -A, -C, -D or -I.
std::string rule_line(std::string_view command, std::string_view chain, const RuleWords& words);

class Iptables {
 public:
  explicit Iptables(Family family) : family_(family) {}

  // The program is there. It may still not work.
  bool installed() const;

  // Commands for the nat table as iptables-restore reads them, one a line, all of them or none.
  // `:CHAIN - [0:0]` makes a chain, or empties it. Throws CniError with the program's own words.
  void change(const std::vector<std::string>& lines) const;
  // False where one of the lines fails, and then nothing has changed. With `only_test` nothing
  // changes at all.
  bool try_change(const std::vector<std::string>& lines, bool only_test = false) const;

  // The rules of a chain of the nat table, `-A CHAIN …`; none where there is no such chain, or no
  // such program.
  std::vector<std::string> list(const std::string& chain) const;

 private:
  std::string program(std::string_view suffix) const;

  Family family_;
};

// What takes away every rule of `lines` that ends in a jump to `chain`, and the chain.
std::vector<std::string> removal_of_chain(const std::vector<std::string>& lines,
                                          const std::string& chain);

// The folders that network programs are in, whatever PATH the runtime gave us.
std::string program_folders();

}  // namespace flannel::cni
