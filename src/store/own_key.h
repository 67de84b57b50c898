// What this process has written, or is writing, under its own key in etcd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "network/lease.h"
#include "store/etcd_entry.h"

namespace flannel {

// A store's calls record here what they write; its watches ask here what an entry means. The answer
// to a write may be lost, or come after the watch has delivered the change; and a watch may be
// behind what is written already. So revisions decide what is old.
class OwnKey {
 public:
  // The layout outlives this object.
  explicit OwnKey(const EtcdLayout& layout) : layout_(layout) {}

  struct Put {
    std::string key;
    LeaseAttrs attrs;
    std::int64_t lease = 0;  // the etcd lease; 0: none
  };

  // `put` is under way from now on. Where its answer is lost it stays so: it may have been done.
  void begin(Put put) { under_way_ = std::move(put); }
  // The answers: it is in the store as of `revision`; it is not, for a condition did not hold.
  void done(std::int64_t revision);
  void refused() { under_way_.reset(); }
  // It is not ours any more: we remove it.
  void release() { written_.reset(); }

  // What was written last; nothing before the first time.
  const std::optional<Put>& written() const { return written_; }

  // What a change that a watch delivered means; nothing where it is not of our key, or older than
  // what we wrote.
  std::optional<OwnEntry> classify(const etcd::Event& event) const;

  // As of which written() is in the store.
  std::int64_t revision() const { return revision_; }
  // So many writes are done.
  std::uint64_t writes() const { return writes_; }
  // Our entry in a list as of `revision`, which was asked for after so many writes.
  std::optional<OwnEntry> classify_listed(const etcd::KeyValue* entry, std::int64_t revision,
                                          std::uint64_t writes_before);
  // The key to look for in a list; empty: none yet.
  std::string key() const;

 private:
  OwnEntry classify(const etcd::KeyValue& entry) const;

  const EtcdLayout& layout_;
  std::optional<Put> written_, under_way_;
  std::int64_t revision_ = 0;  // of written_; 0: of a store that was another one then
  std::uint64_t writes_ = 0;
};

}  // namespace flannel
