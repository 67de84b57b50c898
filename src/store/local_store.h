// Leases in one SQLite file, for the daemons of one machine: tests, the lab, a laptop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/lease_file.h"
#include "store/store.h"

namespace flannel {

// Makes the file, mode 0600, where there is none. Error: a file of another kind or version, a
// corrupt one, a directory that cannot be written; the text names the file, which is left as it
// is. The store's calls throw where the file is removed later, and go on when it returns.
Result<std::unique_ptr<LeaseStore>> make_local_store(
    asio::any_io_executor executor, const std::string& path,
    Now now = [] { return std::chrono::system_clock::now(); });

// For administration, from outside a daemon. Writing makes the file where there is none. The
// configuration is not looked at; leases are written as given, over what is there.
Result<void> write_local_config(const std::string& path, std::string_view json);
Result<void> put_local_leases(const std::string& path, std::span<const Lease> leases);
Result<void> remove_local_lease(const std::string& path, const LeaseKey& key);
// Those that have not expired, in the order of their keys' texts.
Result<std::vector<Lease>> list_local_leases(const std::string& path);

}  // namespace flannel
