#include "firewall/iptables_job.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "base/log.h"
#include "firewall/iptables_fingerprint.h"
#include "firewall/iptables_program.h"

namespace flannel {

IptablesJob::IptablesJob(netlink::RequestSocket& requests, Family family,
                         std::vector<IptablesChange::Row> rows)
    : requests_(requests),
      family_(family),
      rows_(std::move(rows)),
      change_(std::in_place, family, rows_) {}

std::optional<OpResult> IptablesJob::poll() {
  std::optional<OpResult> result = step();
  while (result && result->ok() && clear_other_kind()) {
    result = step();
  }
  return result;
}

std::optional<OpResult> IptablesJob::step() {
  return version_ ? take_version() : change_->poll();
}

void IptablesJob::leave_other_kind(std::string_view reason) {
  log_warning("rules of the other kind of iptables stay: {}", reason);
  incomplete_ = true;
}

// Which kind the host's programs are: begins to ask one. Where none can tell, rules stay.
void IptablesJob::ask_version() {
  try {
    version_.emplace(iptables_version_command(family_));
  } catch (const ProcessError& error) {
    host_kind_ = "";
    leave_other_kind(error.what());
  }
}

// Nothing while it runs.
std::optional<OpResult> IptablesJob::take_version() {
  try {
    const std::optional<ProcessOutput> output = version_->poll();
    if (!output) {
      return std::nullopt;
    }
    host_kind_ = output->out.contains("nf_tables") ? kNftKind : kLegacyKind;
  } catch (const ProcessError& error) {
    host_kind_ = "";
    leave_other_kind(error.what());
  }
  version_.reset();
  return OpResult{};
}

// The kind of iptables whose rules of this row are to go: what the host's programs do not write, as
// after another was made the host's. Nothing where there are none, or it has to be asked for first.
std::optional<std::string_view> IptablesJob::kind_to_clear(const IptablesChange::Row& row) {
  const IptablesFingerprint now = read_iptables_fingerprint(requests_, row.key);
  const bool nft = !now.nft.bytes.empty(), legacy = !now.legacy.bytes.empty();
  if (row.want.empty()) {
    return nft ? std::optional(kNftKind) : legacy ? std::optional(kLegacyKind) : std::nullopt;
  }
  if (!nft || !legacy) {
    return std::nullopt;
  }
  if (!host_kind_) {
    ask_version();
  }
  return host_kind_ == kNftKind      ? std::optional(kLegacyKind)
         : host_kind_ == kLegacyKind ? std::optional(kNftKind)
                                     : std::nullopt;
}

// Goes on when the rules of the host's kind are there. False where there is no more to do.
bool IptablesJob::clear_other_kind() {
  std::map<std::string_view, std::vector<IptablesChange::Row>> rows;
  for (const IptablesChange::Row& row : rows_) {
    const std::optional<std::string_view> kind = kind_to_clear(row);
    if (version_) {
      return true;
    }
    if (kind) {
      rows[*kind].push_back({row.key, std::nullopt, {}});
    }
  }
  for (auto& [kind, its] : rows) {
    if (!cleared_.insert(kind).second) {
      continue;
    }
    if (const auto path = iptables_program(family_, fmt::format("{}-restore", kind)); !path) {
      leave_other_kind(path.error().text);
      continue;
    }
    change_.emplace(family_, std::move(its), kind);
    return true;
  }
  return false;
}

}  // namespace flannel
