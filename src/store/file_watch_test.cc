#include "store/file_watch.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "base/loop_fixture.h"

namespace flannel {
namespace {

class NextTextTest : public LoopTest {
 protected:
  // Waits for another text than `last`, while `change` happens.
  std::string text_after(const std::string& last, const std::function<void()>& change) {
    std::string text;
    asio::co_spawn(loop, next_text(directory.file("conf"), last),
                   [&text](const std::exception_ptr&, std::string found) { text = found; });
    for (int handlers = 0; handlers < 5; ++handlers) {
      loop.poll_one();
    }
    EXPECT_EQ(text, "");
    change();
    run_until([&text] { return !text.empty(); });
    return text;
  }

  TestDirectory directory;
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
  EXPECT_EQ(text_after("", [&] { ASSERT_TRUE(replace_file(directory.file("conf"), "a", 0644)); }),
            "a");
}

}  // namespace
}  // namespace flannel
