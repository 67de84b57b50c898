#include "ctl/lab_journal.h"

#include <gtest/gtest.h>

#include "base/directory_fixture.h"
#include "base/file.h"

namespace flannel {
namespace {

TEST(LabRecord, ReadsEveryKindOfLine) {
  const LabRecord record = *parse_lab_record(
      "setting nodes 3\n"
      "namespace flab-net\n"
      "namespace flab-n1\n"
      "process n1 100 5000\n"
      "process n1 101 6000\n"
      "setting store --local-store=/run/x y\n");
  EXPECT_EQ(record.setting("nodes"), "3");
  EXPECT_EQ(record.setting("store"), "--local-store=/run/x y");
  EXPECT_EQ(record.setting("nothing"), "");
  EXPECT_EQ(record.namespaces, (std::vector<std::string>{"flab-net", "flab-n1"}));
  EXPECT_EQ(record.processes.at("n1"), (ProcessId{101, 6000}));
}

TEST(LabRecord, ALineThatWasCutShortDoesNotCount) {
  EXPECT_TRUE(parse_lab_record("namespace flab-net\nnamespace fla")->namespaces.size() == 1);
}

TEST(LabRecord, AnotherLineIsAnErrorThatNamesIt) {
  for (const char* line : {"hello", "process n1 x 5", "namespace", "process n1"}) {
    const Result<LabRecord> record = parse_lab_record(std::string(line) + "\n");
    ASSERT_FALSE(record) << line;
    EXPECT_NE(record.error().text.find(line), std::string::npos);
  }
}

TEST(LabJournal, KeepsWhatIsAdded) {
  const TestDirectory directory;
  const LabJournal journal(directory.file("journal"));
  EXPECT_TRUE(journal.read()->namespaces.empty());
  journal.add_setting("nodes", "2");
  journal.add_namespace("flab-net");
  journal.add_process("n1", {100, 5000});
  const LabRecord record = *journal.read();
  EXPECT_EQ(record.setting("nodes"), "2");
  EXPECT_EQ(record.namespaces.size(), 1U);
  EXPECT_EQ(record.processes.at("n1"), (ProcessId{100, 5000}));
}

}  // namespace
}  // namespace flannel
