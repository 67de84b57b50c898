#include "ctl/lab_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "base/file.h"

namespace flannel {

std::string LabRecord::setting(const std::string& name) const {
  const auto found = settings.find(name);
  return found == settings.end() ? "" : found->second;
}

Result<LabRecord> parse_lab_record(std::string_view text) {
  LabRecord record;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      break;
    }
    std::istringstream line{std::string(text.substr(0, end))};
    text.remove_prefix(end + 1);
    std::string kind, name;
    line >> kind >> name;
    if (kind == "setting" && !name.empty()) {
      std::getline(line >> std::ws, record.settings[name]);
    } else if (kind == "namespace" && !name.empty()) {
      record.namespaces.push_back(name);
    } else if (ProcessId process; kind == "process" && line >> process.pid >> process.start) {
      record.processes[name] = process;
    } else {
      return fail("no line of a lab's journal: {}", line.str());
    }
  }
  return record;
}

Result<LabRecord> LabJournal::read() const {
  if (!std::filesystem::exists(path_)) {
    return LabRecord{};
  }
  const Result<std::string> text = read_file(path_);
  if (!text) {
    return std::unexpected(text.error());
  }
  Result<LabRecord> record = parse_lab_record(*text);
  return record ? record : fail("{}: {}", path_, record.error().text);
}

void LabJournal::add_setting(const std::string& name, const std::string& value) const {
  append(fmt::format("setting {} {}\n", name, value));
}

void LabJournal::add_namespace(const std::string& name) const {
  append(fmt::format("namespace {}\n", name));
}

void LabJournal::add_process(const std::string& name, const ProcessId& process) const {
  append(fmt::format("process {} {} {}\n", name, process.pid, process.start));
}

void LabJournal::append(const std::string& line) const {
  const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  // One write: a line is there as a whole or not at all, but for a full disk.
  if (!fd || ::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    throw std::system_error(errno, std::generic_category(), path_);
  }
}

}  // namespace flannel
