#include "store/own_key.h"

#include <utility>

namespace flannel {

void OwnKey::done(std::int64_t revision) {
  written_ = std::exchange(under_way_, std::nullopt);
  revision_ = revision;
  ++writes_;
}

std::string OwnKey::key() const {
  return under_way_ ? under_way_->key : written_ ? written_->key : "";
}

std::optional<OwnEntry> OwnKey::classify(const etcd::Event& event) const {
  const bool is_ours = !event.kv.key.empty() && event.kv.key == key();
  const bool is_old =
      written_ && written_->key == event.kv.key && event.kv.mod_revision < revision_;
  if (!is_ours || is_old) {
    return std::nullopt;
  }
  if (event.deleted) {
    return OwnEntry{.state = OwnEntry::State::gone, .lease = {}, .reason = {}};
  }
  return classify(event.kv);
}

std::optional<OwnEntry> OwnKey::classify_listed(const etcd::KeyValue* entry, std::int64_t revision,
                                                std::uint64_t writes_before) {
  if (!written_) {
    return entry == nullptr ? std::nullopt : std::optional(classify(*entry));
  }
  if (revision < revision_) {
    if (writes_ != writes_before) {  // the list is older than what we wrote meanwhile
      return OwnEntry{};
    }
    revision_ = 0;  // it was asked for afterwards: the store was restored
  }
  return entry == nullptr ? OwnEntry{.state = OwnEntry::State::gone, .lease = {}, .reason = {}}
                          : classify(*entry);
}

OwnEntry OwnKey::classify(const etcd::KeyValue& entry) const {
  const Result<Lease> found = read_lease(layout_, entry);
  std::optional<OwnEntry> classified;
  for (const std::optional<Put>& put : {under_way_, written_}) {
    if (put && put->key == entry.key &&
        (!classified || classified->state != OwnEntry::State::as_written)) {
      classified = classify_own(found, put->attrs, entry.lease == put->lease);
    }
  }
  return *classified;
}

}  // namespace flannel
