// What a container was added with: the delegate's configuration, kept in a file until it is gone.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cni/protocol/request.h"

namespace flannel::cni {

// The file `CONTAINER` holds the configuration as the reference writes it, so that either removes
// what the other added. It also names its interface, since another of the same container has a file
// of its own, `CONTAINER:INTERFACE`.
struct DelegateRecord {
  std::string path;
  // Of a file that the reference wrote, or that cannot be read: without the interface.
  Attachment attachment;
  std::optional<json::object> delegate;  // nothing where it cannot be read
};

// Written at once or not at all, before anything is made. True where there was one already: the
// interface was added before. Throws CniError (io_failure; invalid_config for what would be too
// long to be read again).
bool save_record(const std::string& folder, const Attachment& attachment,
                 const json::object& delegate);
std::optional<DelegateRecord> find_record(const std::string& folder, const Attachment& attachment);
std::vector<DelegateRecord> list_records(const std::string& folder);
// Throws CniError (io_failure).
void remove_record(const DelegateRecord& record);

}  // namespace flannel::cni
