// A table of kernel objects of one kind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace flannel {

// Rows in the order of their keys, one a key. They lie in blocks, so that one more among twenty
// thousand moves some dozens of others and no more, and going through all of them is as fast as
// through one array.
template <class T>
class Table {
 public:
  using Key = typename T::Key;

  class Iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator() = default;
    const T& operator*() const { return *row_; }
    const T* operator->() const { return row_; }
    Iterator& operator++() {
      if (++row_ == block_->data() + block_->size()) {
        *this = Iterator(block_ + 1, behind_);
      }
      return *this;
    }
    Iterator operator++(int) { return std::exchange(*this, std::next(*this)); }
    Iterator& operator--() {
      if (row_ == nullptr || row_ == block_->data()) {
        --block_;
        row_ = block_->data() + block_->size();
      }
      --row_;
      return *this;
    }
    Iterator operator--(int) { return std::exchange(*this, std::prev(*this)); }
    bool operator==(const Iterator& other) const { return row_ == other.row_; }

   private:
    friend class Table;
    using Block = std::vector<T>;
    Iterator(const Block* block, const Block* behind)
        : block_(block), behind_(behind), row_(block == behind ? nullptr : block->data()) {}

    const Block* block_ = nullptr;
    const Block* behind_ = nullptr;
    const T* row_ = nullptr;  // none at the end
  };

  Table() = default;
  // Sorts `rows`; of several with one key the last stays.
  explicit Table(std::vector<T> rows);

  const T* find(const Key& key) const;
  // The last row whose key is `key` or before it.
  const T* find_last(const Key& key) const;
  // Adds a row or replaces the one of its key.
  void put(T row);
  // False where there was none.
  bool remove(const Key& key);
  template <class Predicate>
  void remove_if(Predicate predicate);

  Iterator begin() const { return {blocks_.data(), blocks_.data() + blocks_.size()}; }
  Iterator end() const {
    return {blocks_.data() + blocks_.size(), blocks_.data() + blocks_.size()};
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool operator==(const Table& other) const {
    return size_ == other.size_ && std::equal(begin(), end(), other.begin());
  }

 private:
  using Block = std::vector<T>;
  static constexpr std::size_t kMostInABlock = 64;
  static constexpr std::size_t kRoomFor = 8;  // more, where a block has to grow

  // The one with rows up to `key`, else the first; nullptr where there are none.
  auto* block_of(this auto& self, const Key& key) {
    const auto behind = std::ranges::upper_bound(
        self.blocks_, key, {}, [](const Block& block) -> auto& { return block.front().key; });
    const auto before = behind == self.blocks_.begin() ? behind : std::prev(behind);
    return self.blocks_.empty() ? nullptr : &*before;
  }
  // Of a block, the first row that is not before `key`.
  template <class Rows>
  static auto place_in(Rows& block, const Key& key) {
    return std::ranges::lower_bound(block, key, {}, &T::key);
  }
  Block& with_room(Block& block, const Key& key);

  std::vector<Block> blocks_;  // none is empty
  std::size_t size_ = 0;
};

// ---------------------------------------------------------------------------------------------

template <class T>
Table<T>::Table(std::vector<T> rows) {
  // Most plans follow the order of the peers, which is that of many tables.
  const auto unordered = [](const T& a, const T& b) { return !(a.key < b.key); };
  if (std::adjacent_find(rows.begin(), rows.end(), unordered) != rows.end()) {
    std::ranges::stable_sort(rows, {}, &T::key);
    // Of equal keys keep the last: unique() keeps the first, so walk backwards.
    const auto kept = std::unique(rows.rbegin(), rows.rend(),
                                  [](const T& a, const T& b) { return a.key == b.key; });
    rows.erase(rows.begin(), kept.base());
  }
  size_ = rows.size();
  blocks_.reserve((size_ + kMostInABlock - 1) / kMostInABlock);
  for (auto row = std::make_move_iterator(rows.begin()); row.base() != rows.end();) {
    const auto left = static_cast<std::size_t>(rows.end() - row.base());
    const auto end = row + static_cast<std::ptrdiff_t>(std::min(left, kMostInABlock));
    blocks_.emplace_back(row, end);
    row = end;
  }
}

template <class T>
const T* Table<T>::find(const Key& key) const {
  const T* row = find_last(key);
  return row != nullptr && row->key == key ? row : nullptr;
}

template <class T>
const T* Table<T>::find_last(const Key& key) const {
  const Block* block = block_of(key);
  if (block == nullptr || key < block->front().key) {
    return nullptr;
  }
  return &*std::prev(std::ranges::upper_bound(*block, key, {}, &T::key));
}

// The block, or the half of it, that a row with a new `key` belongs to.
template <class T>
auto Table<T>::with_room(Block& block, const Key& key) -> Block& {
  if (block.size() < kMostInABlock) {
    return block;
  }
  const auto next = blocks_.begin() + (&block - blocks_.data()) + 1;
  if (next == blocks_.end() && block.back().key < key) {  // they come in order
    return blocks_.emplace_back();
  }
  const auto middle = block.begin() + kMostInABlock / 2;
  Block upper(std::make_move_iterator(middle), std::make_move_iterator(block.end()));
  block.erase(middle, block.end());
  block.shrink_to_fit();
  const auto added = blocks_.insert(next, std::move(upper));
  return key < added->front().key ? *std::prev(added) : *added;
}

template <class T>
void Table<T>::put(T row) {
  if (empty()) {
    blocks_.emplace_back().push_back(std::move(row));
    size_ = 1;
    return;
  }
  Block& block = *block_of(row.key);
  const auto known = place_in(block, row.key);
  if (known != block.end() && known->key == row.key) {
    *known = std::move(row);
    return;
  }
  Block& to = with_room(block, row.key);
  if (to.size() == to.capacity()) {
    to.reserve(to.size() + kRoomFor);
  }
  to.insert(place_in(to, row.key), std::move(row));
  ++size_;
}

template <class T>
bool Table<T>::remove(const Key& key) {
  Block* block = block_of(key);
  if (block == nullptr) {
    return false;
  }
  const auto row = place_in(*block, key);
  if (row == block->end() || row->key != key) {
    return false;
  }
  block->erase(row);
  --size_;
  if (block->empty()) {
    blocks_.erase(blocks_.begin() + (block - blocks_.data()));
  }
  return true;
}

template <class T>
template <class Predicate>
void Table<T>::remove_if(Predicate predicate) {
  for (Block& block : blocks_) {
    size_ -= std::erase_if(block, predicate);
  }
  std::erase_if(blocks_, [](const Block& block) { return block.empty(); });
}

}  // namespace flannel
