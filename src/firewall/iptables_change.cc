#include "firewall/iptables_change.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/printable.h"
#include "firewall/iptables_program.h"
#include "firewall/iptables_rules.h"

namespace flannel {
namespace {

// Others hold the lock of iptables for as long as a change of thousands of rules takes.
// Tables of 100,000 rules take 10 MB to list.
constexpr ProcessLimits kLimits{.time = std::chrono::seconds(60), .output = 64 << 20};

// `chain` empty: of the whole table.
Result<Program::Command> listing_of(const Ruleset::Key& key, std::string_view chain,
                                    std::string_view kind) {
  Result<std::string> path = iptables_program(key.family, kind);
  if (!path) {
    return std::unexpected(path.error());
  }
  std::vector<std::string> arguments = {"--wait", "-t", key.table, "-S"};
  if (!chain.empty()) {
    arguments.emplace_back(chain);
  }
  return Program::Command{.path = std::move(*path),
                          .arguments = std::move(arguments),
                          .input = {},
                          .variables = {},
                          .limits = kLimits};
}

// What a program that has failed says of it, in one line.
std::string words_of(const ProcessOutput& output) {
  std::string text = output.err.substr(0, output.err.find_last_not_of(" \n") + 1);
  std::ranges::replace(text, '\n', ' ');
  return text.empty() ? fmt::format("ended with status {}", output.status)
                      : printable(text, kSentenceMost);
}

// What a listing says; of our own chain, which may not be there, nothing where it fails.
Result<std::string> text_of(const std::string& path, const ProcessOutput& output, bool may_fail) {
  if (output.status == 0) {
    return output.out;
  }
  if (may_fail) {
    return std::string();
  }
  return fail("{}: {}", path, words_of(output));
}

}  // namespace

IptablesChange::IptablesChange(Family family, std::vector<Row> rows, std::string_view kind)
    : family_(family), kind_(kind), rows_(std::move(rows)) {}

bool IptablesChange::leaves(const Ruleset::Key& key) const {
  const auto row = std::ranges::find(rows_, key, &Row::key);
  return row != rows_.end() && row->have == row->want;
}

std::optional<OpResult> IptablesChange::fail_with(std::string text) const {
  return OpResult{.error = EIO, .text = std::move(text)};
}

// A chain that is to go may be jumped to from anywhere.
bool IptablesChange::lists_all(const Row& row) const {
  return tried_again_ && row.want.empty();
}

std::optional<OpResult> IptablesChange::poll() {
  try {
    std::optional<OpResult> result;
    while (!result) {
      if (program_) {
        const std::optional<ProcessOutput> output = program_->poll();
        if (!output) {
          return std::nullopt;
        }
        program_.reset();
        result = step_ == Step::list ? listed(*output) : restored(*output);
      }
      if (!result) {
        result = begin_next();
      }
    }
    return result;
  } catch (const ProcessError& error) {
    program_.reset();
    const bool too_slow = error.kind() == ProcessError::Kind::too_slow;
    return OpResult{.error = too_slow ? ETIMEDOUT : EIO, .text = error.what()};
  }
}

// Starts the next program; success where none is needed any more.
std::optional<OpResult> IptablesChange::begin_next() {
  while (row_ < rows_.size() && rows_[row_].have) {
    ++row_;
  }
  if (row_ < rows_.size()) {
    const Row& row = rows_[row_];
    const IptablesPlace place = iptables_place(row.key);
    const std::string_view chain = lists_all(row) ? "" : builtin_listed_ ? place.chain : place.from;
    const Result<Program::Command> command = listing_of(row.key, chain, kind_);
    if (!command) {
      return fail_with(command.error().text);
    }
    step_ = Step::list;
    program_.emplace(*command);
    return std::nullopt;
  }
  std::string input;
  for (const Row& row : rows_) {
    if (*row.have != row.want) {
      input += iptables_restore_input(iptables_place(row.key), *row.have, row.want);
    }
  }
  if (input.empty()) {
    return OpResult{};
  }
  Result<std::string> path = iptables_program(family_, fmt::format("{}-restore", kind_));
  if (!path) {
    return fail_with(path.error().text);
  }
  step_ = Step::restore;
  program_.emplace(Program::Command{.path = std::move(*path),
                                    .arguments = {"--noflush", "--wait"},
                                    .input = std::move(input),
                                    .variables = {},
                                    .limits = kLimits});
  return std::nullopt;
}

std::optional<OpResult> IptablesChange::listed(const ProcessOutput& output) {
  Row& row = rows_[row_];
  const Result<std::string> text =
      text_of(family_ == Family::v4 ? "iptables" : "ip6tables", output, builtin_listed_);
  if (!text) {
    return fail_with(text.error().text);
  }
  listing_ += *text;
  const bool is_last = builtin_listed_ || lists_all(row);
  if (is_last) {
    row.have = our_iptables_lines(iptables_place(row.key), listing_);
    listing_.clear();
  }
  builtin_listed_ = !is_last;
  return std::nullopt;
}

std::optional<OpResult> IptablesChange::restored(const ProcessOutput& output) {
  if (output.status == 0) {
    return OpResult{};
  }
  if (!tried_again_) {  // somebody else may have changed them meanwhile
    tried_again_ = true;
    row_ = 0;
    for (Row& row : rows_) {
      row.have.reset();
    }
    return std::nullopt;
  }
  return fail_with(fmt::format("{}-restore: {}", family_ == Family::v4 ? "iptables" : "ip6tables",
                               words_of(output)));
}

}  // namespace flannel
