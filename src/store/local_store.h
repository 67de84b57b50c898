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

// Error: a file of another kind or version, a corrupt one, a directory that cannot be written; the
// text names the file, which is left as it is.
Result<std::unique_ptr<LeaseStore>> make_local_store(
    asio::any_io_executor executor, const std::string& path,
    Now now = [] { return std::chrono::system_clock::now(); });

// For administration, from outside a daemon.
Result<void> write_local_config(const std::string& path, std::string_view json);
Result<void> put_local_leases(const std::string& path, std::span<const Lease> leases);
Result<std::vector<Lease>> list_local_leases(const std::string& path);

}  // namespace flannel
