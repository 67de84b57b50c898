// The rules of containers in the nat table of iptables and ip6tables, as few runs of the programs
// as can be. The daemon's own rules are firewall/iptables_change.h.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace flannel::cni {

// The words of a rule behind `-A CHAIN`.
using RuleWords = std::vector<std::string>;

struct NatRule {
  std::string chain;
  // As iptables-save prints them where the rule may be there already: they are compared as text.
  RuleWords words;
  bool first = false;  // before all others of its chain
};

// The chain of a container: `prefix` and a hash, 28 characters in all, as iptables takes at most.
std::string chain_name(std::string_view prefix, std::string_view network,
                       std::string_view container_id);

// What the comment match takes of a text.
std::string iptables_comment_of(const std::string& text);

// `-A CHAIN WORD …`, words quoted where they have to be; `command` is -A, -C, -D or -I.
std::string rule_line(std::string_view command, const NatRule& rule);

// The target of a line that ends in a jump; empty for any other.
std::string_view jump_of(std::string_view line);

// Chains of the table as they are.
struct NatTable {
  std::set<std::string> chains;
  std::vector<std::string> rules;  // `-A CHAIN …`
  bool operator==(const NatTable&) const = default;
};

// What `iptables -t nat -S CHAIN` prints, for any number of chains. A rule's target is a chain that
// is there, too.
NatTable parse_nat_table(std::string_view text);

// What is taken for granted of a table that is not known.
enum class Expected { present, absent };

// Commands as iptables-restore takes them: all or none. Those for a table that is not known fail
// where anything is not as expected, so that nothing is made twice and nothing of others emptied.
class NatBatch {
 public:
  // `known` null: the table is not known.
  explicit NatBatch(const NatTable* known)
      : known_(known != nullptr), table_(known == nullptr ? NatTable{} : *known) {}

  // Makes it where it is missing.
  void ensure_chain(const std::string& chain, Expected expected);
  // The same rule twice is one.
  void ensure_rule(const NatRule& rule, Expected expected);
  // Takes out the rules of a chain, and those that jump to it, where the table is known.
  void clear_chain(const std::string& chain);
  // Takes it out where it is there; in a table that is not known it has to be.
  void remove_rule(const NatRule& rule);
  // Rules that are known lead there.
  bool has_jump_to(std::string_view chain) const;
  // Takes out the chain and what jumps to it: `jumps` where the table is not known.
  void remove_chain(const std::string& chain, const std::vector<NatRule>& jumps);

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void remove_rules(const std::function<bool(const std::string& line)>& matches);

  bool known_;
  NatTable table_;  // with what the lines so far do
  std::vector<std::string> lines_;
};

// What is to be done, and the chains that it depends on: a known table has these alone, since the
// whole of it may be thousands of chains of others. The first is a built-in one.
struct NatPlan {
  std::vector<std::string> chains;
  std::function<NatBatch(const NatTable* known)> batch;
};

class Iptables {
 public:
  explicit Iptables(Family family) : family_(family) {}

  // The program is there. It may still not work.
  bool installed() const;
  // False where there is no such chain for sure: the kernel is asked, no program is run.
  bool may_have_chain(const std::string& chain) const;
  // The kind of iptables that uses nftables has it, for sure.
  bool has_nft_chain(const std::string& chain) const;

  // Does what is planned for a table that is not known, and where that fails for the table as it
  // is, again when others have changed it meanwhile. Throws with the program's own words.
  void change(const NatPlan& plan) const;
  // The same for the table as it is.
  void change_known(const NatPlan& plan) const;
  // All of these rules are there. Throws where the program is not.
  bool has(const std::vector<NatRule>& rules) const;

 private:
  NatTable list(const std::vector<std::string>& chains) const;
  // What the program says against it; empty where it is done.
  std::string restore(const std::vector<std::string>& lines) const;

  Family family_;
};

}  // namespace flannel::cni
