#include "kernel/table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace flannel {
namespace {

struct Row {
  struct Key {
    unsigned number = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  std::string text;
  bool operator==(const Row&) const = default;
};
using Model = std::map<unsigned, std::string>;

void expect_same(const Table<Row>& table, const Model& model) {
  ASSERT_EQ(table.size(), model.size());
  ASSERT_EQ(table.empty(), model.empty());
  auto row = table.begin();
  std::vector<Row> rows;
  for (const auto& [number, text] : model) {
    ASSERT_TRUE(row != table.end());
    ASSERT_EQ(*row, (Row{{number}, text}));
    rows.push_back(*row++);
  }
  EXPECT_TRUE(row == table.end());
  for (auto before = rows.rbegin(); before != rows.rend(); ++before) {
    ASSERT_EQ(*--row, *before);
  }
  EXPECT_TRUE(row == table.begin());
  EXPECT_EQ(table, Table<Row>(rows)) << "in whatever blocks";
}

class TableTest : public testing::TestWithParam<unsigned> {};

// Few keys, so that some meet; and more than some blocks of them.
TEST_P(TableTest, IsWhatAMapIsAfterAnyChanges) {
  const unsigned keys = GetParam();
  std::mt19937 random(keys);
  std::vector<Row> rows;
  Model model;
  for (unsigned i = 0; i < keys / 2; ++i) {
    const Row row{{static_cast<unsigned>(random() % keys)}, std::to_string(i)};
    rows.push_back(row);
    model[row.key.number] = row.text;
  }
  Table<Row> table(rows);
  expect_same(table, model);
  for (unsigned step = 0; step < 3'000; ++step) {
    const unsigned number = random() % keys;
    // It grows for a while, then it shrinks.
    if (random() % 4 < (step < 1'500 ? 3U : 1U)) {
      table.put({{number}, std::to_string(step)});
      model[number] = std::to_string(step);
    } else {
      ASSERT_EQ(table.remove({number}), model.erase(number) > 0);
    }
    const unsigned asked = random() % keys;
    const auto behind = model.upper_bound(asked);
    const Row* found = table.find({asked});
    const Row* last = table.find_last({asked});
    ASSERT_EQ(found != nullptr, model.contains(asked));
    ASSERT_EQ(last != nullptr, behind != model.begin());
    if (last != nullptr) {
      ASSERT_EQ(*last, (Row{{std::prev(behind)->first}, std::prev(behind)->second}));
    }
    if (step % 100 == 0) {
      expect_same(table, model);
    }
  }
  table.remove_if([](const Row& row) { return row.key.number % 3 != 0; });
  std::erase_if(model, [](const auto& item) { return item.first % 3 != 0; });
  expect_same(table, model);
  table.remove_if([](const Row&) { return true; });
  expect_same(table, {});
}
INSTANTIATE_TEST_SUITE_P(Keys, TableTest, testing::Values(1U, 7U, 200U, 5'000U));

TEST(TableTest, TakesRowsInOrderAndBackwards) {
  Table<Row> forwards, backwards;
  Model model;
  for (unsigned i = 0; i < 1'000; ++i) {
    forwards.put({{i}, "x"});
    backwards.put({{999 - i}, "x"});
    model[i] = "x";
  }
  expect_same(forwards, model);
  EXPECT_EQ(forwards, backwards);
}

}  // namespace
}  // namespace flannel
