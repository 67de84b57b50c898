#include "store/file_watch.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "base/loop_fixture.h"
#include "base/wake.h"

namespace flannel {
namespace {

class FileWatchTest : public LoopTest {
 protected:
  TestDirectory directory;
};

TEST_F(FileWatchTest, WhoWritesBesideTheFileWithoutPauseKeepsNobodyWaiting) {
  const std::string file = directory.file("conf"),
                    others[] = {directory.file("a"), directory.file("b")};
  ASSERT_TRUE(replace_file(file, "1", 0644));
  FileWatch watch(loop.get_executor(), file);
  for (int i = 0; i < 2'000; ++i) {  // in turn, since the kernel merges events that are alike
    std::ofstream(others[i % 2], std::ios::app) << i;
  }
  ASSERT_TRUE(replace_file(file, "2", 0644));
  bool changed = false;
  asio::co_spawn(loop, watch.changed_or(kNever),
                 [&](const std::exception_ptr&) { changed = true; });
  int turns_of_others = 0;
  const std::function<void()> take_turns = [&] {
    ++turns_of_others;
    if (!changed) {
      asio::post(loop, take_turns);
    }
  };
  asio::post(loop, take_turns);
  run_until([&] { return changed; });
  EXPECT_GT(turns_of_others, 5);
}

class NextTextTest : public FileWatchTest {
 protected:
  // Waits for another text than `last`, while `change` happens.
  std::string text_after(std::optional<std::string> last, const std::function<void()>& change) {
    std::string text;
    asio::co_spawn(loop, next_text(directory.file("conf"), std::move(last)),
                   [&text](const std::exception_ptr&, const Result<std::string>& found) {
                     text = found ? *found : found.error().text;
                   });
    for (int handlers = 0; handlers < 5; ++handlers) {
      loop.poll_one();
    }
    EXPECT_EQ(text, "");
    change();
    run_until([&text] { return !text.empty(); });
    return text;
  }
};

TEST_F(NextTextTest, AFileThatIsReplaced) {
  ASSERT_TRUE(replace_file(directory.file("conf"), "one", 0644));
  EXPECT_EQ(run(next_text(directory.file("conf"), "zero")), "one");
  EXPECT_EQ(
      text_after("one", [&] { ASSERT_TRUE(replace_file(directory.file("conf"), "two", 0644)); }),
      "two");
}

// As kubelet updates a ConfigMap: a folder made beside the one in use, a link exchanged, and the
// old folder removed.
TEST_F(NextTextTest, AFileOfAConfigMap) {
  for (const char* version : {"1", "2"}) {
    const std::string folder = directory.file(std::string("..") + version);
    std::filesystem::create_directory(folder);
    ASSERT_TRUE(replace_file(folder + "/conf", version, 0644));
  }
  std::filesystem::create_symlink("..1", directory.file("..data"));
  std::filesystem::create_symlink("..data/conf", directory.file("conf"));
  EXPECT_EQ(text_after("1",
                       [&] {
                         std::filesystem::create_symlink("..2", directory.file("..data_tmp"));
                         std::filesystem::rename(directory.file("..data_tmp"),
                                                 directory.file("..data"));
                         std::filesystem::remove_all(directory.file("..1"));
                       }),
            "2");
}

TEST_F(NextTextTest, AFileThatIsNotThereYet) {
  EXPECT_EQ(text_after(std::nullopt,
                       [&] { ASSERT_TRUE(replace_file(directory.file("conf"), "a", 0644)); }),
            "a");
}

TEST_F(NextTextTest, AFileThatCannotBeReadAnyMore) {
  const std::string path = directory.file("conf");
  for (const bool is_folder : {false, true}) {
    std::filesystem::remove(path);
    ASSERT_TRUE(replace_file(path, "one", 0644));
    const std::string why = text_after("one", [&] {
      std::filesystem::remove(path);
      if (is_folder) {
        std::filesystem::create_directory(path);
      }
    });
    EXPECT_TRUE(why.contains(path)) << why;
  }
}

}  // namespace
}  // namespace flannel
