// Whether the store answers, as those who use it find.
#pragma once

#include <map>
#include <string>

namespace flannel {

class StoreHealth {
 public:
  enum class Use { stream, watch, renewal, ready };

  // `name`: of the store, for the log.
  explicit StoreHealth(std::string name) : name_(std::move(name)) {}

  // Why it does not answer; empty when it does again. One line in the log when the first has a
  // trouble, one when the last has none. True where `use` had one and has none.
  bool set(Use use, const std::string& trouble);
  // The leases are followed, whatever else the store refuses.
  bool is_followed() const {
    return !troubles_.contains(Use::stream) && !troubles_.contains(Use::watch);
  }
  // One of those there are; empty for none.
  std::string trouble() const { return troubles_.empty() ? "" : troubles_.begin()->second; }

 private:
  const std::string name_;
  std::map<Use, std::string> troubles_;
};

}  // namespace flannel
