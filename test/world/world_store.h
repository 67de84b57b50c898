// Where a World's leases are, and what others do to them: a store in memory, or the Nodes of a fake
// API server.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/store.h"

namespace flannel {

// What happens is drawn here, and told, for a failed test's message.
class Story {
 public:
  explicit Story(std::uint64_t seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
  void tell(const std::string& what) { text_ += what + "\n"; }
  const std::string& text() const { return text_; }

 private:
  std::mt19937_64 random_;
  std::string text_;
};

class WorldStore {
 public:
  virtual ~WorldStore() = default;

  virtual std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) = 0;
  // What daemons are to go by.
  virtual std::vector<Lease> leases() const = 0;

  // The lease of another node.
  virtual void put(const std::string& node, const Lease& lease) = 0;
  virtual void remove(const std::string& node, const LeaseKey& key) = 0;

  // Something happens to the store, or to the daemon's lease, where it has one by now.
  virtual void change(Story& story, const Lease* own) = 0;
  // All is well again.
  virtual void recover() = 0;

  // Does what it has to do by itself; to be called as often as this.
  virtual void run() {}
  virtual std::chrono::microseconds turn() const { return std::chrono::hours(1); }
};

// Both are in the network namespace that they are made in. `config` is the network configuration,
// `folder` one for files.
std::unique_ptr<WorldStore> make_memory_store(const std::string& config);
std::unique_ptr<WorldStore> make_node_store(const std::string& config, const std::string& folder);

}  // namespace flannel
