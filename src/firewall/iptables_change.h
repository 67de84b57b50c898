// A change of our rules by the programs of iptables, which may take as long as somebody else holds
// their lock: followed by an event loop.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "kernel/ruleset.h"
#include "process/process.h"

namespace flannel {

// What the names of the programs of each kind end in, before `-restore`.
inline constexpr std::string_view kNftKind = "-nft", kLegacyKind = "-legacy";

class IptablesChange {
 public:
  struct Row {
    Ruleset::Key key;
    std::optional<std::vector<std::string>> have;  // nothing: not known
    std::vector<std::string> want;                 // empty: nothing of ours
  };

  // Of tables of one family: one run of iptables-restore for all, each table at one instant, after
  // those tables are listed that are not known. One that is as wanted is not written. `kind`: by
  // the host's programs, or by those of one kind of iptables (kNftKind, kLegacyKind).
  IptablesChange(Family family, std::vector<Row> rows, std::string_view kind = "");

  // The table turned out to be as wanted. To be asked when all is done.
  bool leaves(const Ruleset::Key& key) const;

  // Nothing before all is done or has failed, with the program's words; with ETIMEDOUT where it
  // does not end. To be called at once, and then whenever fd() is readable; which may be another
  // one after each call.
  std::optional<OpResult> poll();
  int fd() { return program_->fd(); }

 private:
  enum class Step { list, restore };

  std::optional<OpResult> begin_next();
  std::optional<OpResult> listed(const ProcessOutput& output);
  std::optional<OpResult> restored(const ProcessOutput& output);
  std::optional<OpResult> fail_with(std::string text) const;
  bool lists_all(const Row& row) const;

  Family family_;
  std::string_view kind_;
  std::vector<Row> rows_;
  Step step_ = Step::list;
  std::size_t row_ = 0;  // that is listed
  std::string listing_;  // so far
  bool builtin_listed_ = false;
  bool tried_again_ = false;  // since what was known was not so
  std::optional<Program> program_;
};

}  // namespace flannel
