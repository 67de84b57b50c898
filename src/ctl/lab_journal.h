// What a lab made, written down before it is made, so that everything can be removed again
// whatever crashed when.
//
//   setting NAME VALUE        how the lab was called up
//   namespace NAME            a network namespace
//   process NAME PID START    a program, by pid and start time
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ctl/process.h"

namespace flannel {

struct LabRecord {
  std::map<std::string, std::string> settings;
  std::vector<std::string> namespaces;         // in the order they were made
  std::map<std::string, ProcessId> processes;  // the latest of each name

  std::string setting(const std::string& name) const;
};

// A last line that was cut short is left out: what it announces was not made yet. Error: any other
// line that is none of ours.
Result<LabRecord> parse_lab_record(std::string_view text);

class LabJournal {
 public:
  explicit LabJournal(std::string path) : path_(std::move(path)) {}

  // Empty where there is no file.
  Result<LabRecord> read() const;
  // Each throws std::system_error where it cannot be written.
  void add_setting(const std::string& name, const std::string& value) const;
  void add_namespace(const std::string& name) const;
  void add_process(const std::string& name, const ProcessId& process) const;

 private:
  void append(const std::string& line) const;

  std::string path_;
};

}  // namespace flannel
