// A table of kernel objects of one kind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace flannel {

// Rows in the order of their keys, one a key.
template <class T>
class Table {
 public:
  using Key = typename T::Key;

  Table() = default;
  // Sorts `rows`; of several with one key the last stays.
  explicit Table(std::vector<T> rows);

  const T* find(const Key& key) const;
  // Adds a row or replaces the one of its key. Linear; at the end constant.
  void put(T row);
  // False where there was none.
  bool remove(const Key& key);
  template <class Predicate>
  void remove_if(Predicate predicate) {
    std::erase_if(rows_, predicate);
  }

  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  std::size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  bool operator==(const Table&) const = default;

 private:
  std::vector<T> rows_;
};

// ---------------------------------------------------------------------------------------------

template <class T>
Table<T>::Table(std::vector<T> rows) : rows_(std::move(rows)) {
  // Most plans follow the order of the peers, which is that of many tables.
  const auto unordered = [](const T& a, const T& b) { return !(a.key < b.key); };
  if (std::adjacent_find(rows_.begin(), rows_.end(), unordered) == rows_.end()) {
    return;
  }
  const auto by_key = [](const T& a, const T& b) { return a.key < b.key; };
  std::stable_sort(rows_.begin(), rows_.end(), by_key);
  // Of equal keys keep the last: unique() keeps the first, so walk backwards.
  const auto kept = std::unique(rows_.rbegin(), rows_.rend(),
                                [](const T& a, const T& b) { return a.key == b.key; });
  rows_.erase(rows_.begin(), kept.base());
}

template <class T>
const T* Table<T>::find(const Key& key) const {
  const auto at = std::lower_bound(rows_.begin(), rows_.end(), key,
                                   [](const T& row, const Key& k) { return row.key < k; });
  return at != rows_.end() && at->key == key ? &*at : nullptr;
}

template <class T>
void Table<T>::put(T row) {
  if (rows_.empty() || rows_.back().key < row.key) {
    rows_.push_back(std::move(row));
    return;
  }
  const auto at = std::lower_bound(rows_.begin(), rows_.end(), row.key,
                                   [](const T& r, const Key& k) { return r.key < k; });
  if (at->key == row.key) {
    *at = std::move(row);
  } else {
    rows_.insert(at, std::move(row));
  }
}

template <class T>
bool Table<T>::remove(const Key& key) {
  const T* row = find(key);
  if (row == nullptr) {
    return false;
  }
  rows_.erase(rows_.begin() + (row - rows_.data()));
  return true;
}

}  // namespace flannel
