#include "cni/flannel/delegate_record.h"

#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "cni/protocol/error.h"
#include "cni/protocol/json_text.h"

namespace flannel::cni {
namespace {

constexpr std::string_view kInterfaceField = "flannelInterface";
// Which no container's name may have in it, nor an interface's.
constexpr char kSeparator = ':';

std::string shared_path(const std::string& folder, const Attachment& attachment) {
  return folder + "/" + attachment.container_id;
}
std::string own_path(const std::string& folder, const Attachment& attachment) {
  return shared_path(folder, attachment) + kSeparator + attachment.ifname;
}

std::optional<DelegateRecord> read_record(const std::string& path, std::string container_id) {
  const Result<std::string> text = read_file(path, kMostRead, Links::refused);
  if (!text) {
    return std::nullopt;
  }
  DelegateRecord record{.path = path, .attachment = {std::move(container_id), ""}, .delegate = {}};
  boost::system::error_code error;
  json::value document = json::parse(*text, error);
  if (error || !document.is_object()) {
    return record;
  }
  json::object& delegate = document.get_object();
  const json::value* ifname = delegate.if_contains(kInterfaceField);
  if (ifname != nullptr && ifname->is_string()) {
    record.attachment.ifname = ifname->get_string();
  }
  delegate.erase(kInterfaceField);
  record.delegate = std::move(delegate);
  return record;
}

// The record is about this interface, as far as it says.
bool may_be_of(const DelegateRecord& record, const Attachment& attachment) {
  return record.attachment.ifname.empty() || record.attachment.ifname == attachment.ifname;
}

// False where there is one of that name.
bool create_record(const std::string& folder, const std::string& path, const std::string& text) {
  Result<bool> created = create_file(path, text, 0600, true);
  if (!created) {
    // A configuration may hold secrets. Where the folder cannot be made, making the file fails.
    (void)make_folders(folder, 0700);
    // Also where another container has made the folder meanwhile.
    created = create_file(path, text, 0600, true);
  }
  if (!created) {
    throw CniError(Code::io_failure, created.error().text);
  }
  return *created;
}

}  // namespace

bool save_record(const std::string& folder, const Attachment& attachment,
                 const json::object& delegate) {
  json::object content = delegate;
  content.emplace(kInterfaceField, attachment.ifname);
  const std::string text = json::serialize(sort_fields(content));
  if (text.size() > kMostRead) {
    throw_error(Code::invalid_config,
                "the configuration, with the node's subnets, has {} bytes: over {} cannot be read "
                "again when the container is removed",
                text.size(), kMostRead);
  }
  const std::optional<DelegateRecord> record = find_record(folder, attachment);
  if (record) {
    if (const Result<void> written = replace_file(record->path, text, 0600); !written) {
      throw CniError(Code::io_failure, written.error().text);
    }
  } else if (!create_record(folder, shared_path(folder, attachment), text)) {
    create_record(folder, own_path(folder, attachment), text);  // that one is another interface's
  }
  return record.has_value();
}

std::optional<DelegateRecord> find_record(const std::string& folder, const Attachment& attachment) {
  if (std::optional<DelegateRecord> own =
          read_record(own_path(folder, attachment), attachment.container_id)) {
    return own;
  }
  std::optional<DelegateRecord> shared =
      read_record(shared_path(folder, attachment), attachment.container_id);
  return shared && may_be_of(*shared, attachment) ? shared : std::nullopt;
}

std::vector<DelegateRecord> list_records(const std::string& folder) {
  std::vector<DelegateRecord> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::optional<DelegateRecord> record = read_record(entry.path().string(), name);
    if (!record) {
      continue;
    }
    const std::string suffix = kSeparator + record->attachment.ifname;
    if (suffix.size() > 1 && name.ends_with(suffix)) {
      record->attachment.container_id = name.substr(0, name.size() - suffix.size());
    }
    out.push_back(std::move(*record));
  }
  return out;
}

void remove_record(const DelegateRecord& record) {
  if (::unlink(record.path.c_str()) != 0 && errno != ENOENT) {
    throw_error(Code::io_failure, "cannot remove {}: {}", record.path, std::strerror(errno));
  }
}

}  // namespace flannel::cni
