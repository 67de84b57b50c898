#include "ctl/lab_journal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

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

TEST(Process, IsToldFromALaterOneWithItsPid) {
  const TestDirectory directory;
  ProcessId announced;
  const ProcessId process = start_detached({"sleep", "60"}, "", directory.file("log"),
                                           [&](const ProcessId& id) { announced = id; });
  EXPECT_EQ(announced, process);
  EXPECT_TRUE(is_alive(process));
  EXPECT_FALSE(is_alive({process.pid, process.start + 1}));
  EXPECT_TRUE(end_process({process.pid, process.start + 1}));
  EXPECT_TRUE(is_alive(process)) << "the process with that pid is another one";
  EXPECT_TRUE(end_process(process));
  EXPECT_FALSE(is_alive(process));
}

TEST(Program, ReturnsItsOutputAndItsFailure) {
  EXPECT_EQ(run_program({"cat"}, "hello"), "hello");
  try {
    run_program({"ls", "/nowhere-at-all"});
    ADD_FAILURE() << "it did not fail";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("ls /nowhere-at-all: "), std::string::npos);
  }
  EXPECT_THROW(run_program({"no-such-program-at-all"}), std::runtime_error);
}

}  // namespace
}  // namespace flannel
