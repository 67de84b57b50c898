// The addresses of one network on this node: a folder with a file an address, as host-local keeps
// them, so that both can work in it side by side.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/ip.h"
#include "cni/protocol/request.h"

namespace flannel::cni {

struct Reservation {
  IpAddr address;
  // Of files that older versions wrote without an interface: `ifname` is empty. Of files that a
  // crash left empty: both are.
  Attachment holder;
  std::int64_t since = 0;  // seconds since 1970

  // It is `attachment`'s, or its container's without an interface.
  bool is_of(const Attachment& attachment) const;
};

class Reservations {
 public:
  // Makes the folder where it is missing, and locks it as long as this object lives. Throws
  // CniError (io_failure).
  explicit Reservations(const std::string& folder);

  // Complete or not at all, also when the process is killed meanwhile; false where the address is
  // taken. Throws CniError.
  bool reserve(const IpAddr& address, const Attachment& holder);
  void release(const IpAddr& address);

  // Of one address; nothing where it is free.
  std::optional<Reservation> find(const IpAddr& address) const;
  // All of them; reads every file.
  std::vector<Reservation> list() const;

  // The address that a range set (by its index) gave out last; nothing where it gave none yet.
  std::optional<IpAddr> last_reserved(std::size_t range_set) const;
  void set_last_reserved(std::size_t range_set, const IpAddr& address);

 private:
  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  UniqueFd lock_;
};

}  // namespace flannel::cni
