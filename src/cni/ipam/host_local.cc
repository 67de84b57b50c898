#include "cni/ipam/host_local.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <filesystem>

#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"

namespace flannel::cni {
namespace {

constexpr std::size_t kMostResolvConf = 1 << 20;  // bytes

// Addresses of a set in turn, from the one after the last given to that one itself, once around.
class Cursor {
 public:
  Cursor(const RangeSet& set, const std::optional<IpAddr>& last) : set_(set) {
    const Range* range = last ? set.find(*last) : nullptr;
    if (range != nullptr) {
      index_ = static_cast<std::size_t>(range - set.ranges.data());
      address_ = *last;
      advance();
    } else {
      address_ = set.ranges[0].first;
    }
    start_ = address_;
  }

  const IpAddr& address() const { return address_; }
  const Range& range() const { return set_.ranges[index_]; }
  // False when it has come around.
  bool advance_until_start() {
    advance();
    return address_ != start_;
  }

 private:
  void advance() {
    if (address_ == range().last) {
      index_ = (index_ + 1) % set_.ranges.size();
      address_ = range().first;
    } else {
      address_ = IpAddr::from_number(address_.family(), address_.number() + 1);
    }
  }

  const RangeSet& set_;
  std::size_t index_ = 0;
  IpAddr address_, start_;
};

// What a set gives to an attachment; nothing where all are taken.
std::optional<ResultIp> take_next(Reservations& reservations, const RangeSet& set,
                                  std::size_t index, const Attachment& attachment) {
  Cursor cursor(set, reservations.last_reserved(index));
  do {
    const Range& range = cursor.range();
    if (cursor.address() != range.gateway && reservations.reserve(cursor.address(), attachment)) {
      return ResultIp{.interface = {},
                      .address = {cursor.address(), range.subnet.length},
                      .gateway = range.gateway};
    }
  } while (cursor.advance_until_start());
  return std::nullopt;
}

// Nobody uses its address: it is of before the last boot, a crash left it empty, or its container
// is gone.
bool is_stale(const Reservation& reservation, std::int64_t oldest, const Containers& containers) {
  return reservation.since < oldest || reservation.holder.container_id.empty() ||
         containers.is_gone(reservation.holder);
}

bool reclaim_one(Reservations& reservations, const IpAddr& address, const Containers& containers) {
  const std::optional<Reservation> reservation = reservations.find(address);
  if (!reservation || !is_stale(*reservation, containers.oldest(), containers)) {
    return false;
  }
  reservations.release(address);
  return true;
}

ResultIp take_requested(Reservations& reservations, const RangeSet& set, const IpAddr& address,
                        const Attachment& attachment, const Containers& containers) {
  const Range& range = *set.find(address);
  if (address == range.gateway) {
    throw_error(Code::internal, "requested ip {} is subnet's gateway", address.to_text());
  }
  const bool reserved =
      reservations.reserve(address, attachment) ||
      (reclaim_one(reservations, address, containers) && reservations.reserve(address, attachment));
  if (!reserved) {
    throw_error(Code::internal, "requested IP address {} is not available in range set {}",
                address.to_text(), set.to_text());
  }
  return {.interface = {}, .address = {address, range.subnet.length}, .gateway = range.gateway};
}

// True where some address of the set became free.
bool reclaim(Reservations& reservations, const RangeSet& set, const Containers& containers) {
  const std::int64_t oldest = containers.oldest();
  bool any = false;
  for (const Reservation& reservation : reservations.list()) {
    if (set.find(reservation.address) != nullptr && is_stale(reservation, oldest, containers)) {
      reservations.release(reservation.address);
      any = true;
    }
  }
  return any;
}

void refuse_second_allocation(const Reservations& reservations, const RangeSet& set,
                              const Attachment& attachment) {
  for (const Reservation& reservation : reservations.list()) {
    if (reservation.is_of(attachment) && set.find(reservation.address) != nullptr) {
      throw_error(Code::internal,
                  "{} has been allocated to {}, duplicate allocation is not allowed",
                  reservation.address.to_text(), attachment.container_id);
    }
  }
}

// One address from a set, and out of `requested` the one that it fulfils.
ResultIp take_from(Reservations& reservations, const RangeSet& set, std::size_t index,
                   const Attachment& attachment, const Containers& containers,
                   std::vector<IpAddr>& requested) {
  const auto wish = std::find_if(requested.begin(), requested.end(), [&](const IpAddr& address) {
    return set.find(address) != nullptr;
  });
  if (wish != requested.end()) {
    const IpAddr address = *wish;
    std::erase(requested, address);
    return take_requested(reservations, set, address, attachment, containers);
  }
  if (!containers.is_new) {
    refuse_second_allocation(reservations, set, attachment);
  }
  std::optional<ResultIp> ip = take_next(reservations, set, index, attachment);
  if (!ip && reclaim(reservations, set, containers)) {
    ip = take_next(reservations, set, index, attachment);
  }
  if (!ip) {
    throw_error(Code::internal, "no IP addresses available in range set: {}", set.to_text());
  }
  return *ip;
}

std::vector<ResultIp> take_all(Reservations& reservations, const HostLocalConfig& config,
                               const Attachment& attachment, const Containers& containers) {
  std::vector<ResultIp> taken;
  std::vector<IpAddr> requested = config.requested;
  try {
    for (std::size_t i = 0; i < config.sets.size(); ++i) {
      taken.push_back(
          take_from(reservations, config.sets[i], i, attachment, containers, requested));
      reservations.set_last_reserved(i, taken.back().address.ip);
    }
    if (!requested.empty()) {
      throw_error(Code::internal, "failed to allocate all requested IPs: {}",
                  requested[0].to_text());
    }
  } catch (const CniError& error) {
    for (const ResultIp& ip : taken) {
      reservations.release(ip.address.ip);
    }
    throw CniError(error.code(),
                   fmt::format("failed to allocate for range {}: {}", taken.size(), error.what()));
  }
  return taken;
}

bool is_missing(const std::string& folder) {
  std::error_code error;
  return !std::filesystem::is_directory(folder, error);
}

json::object add(const Request& request) {
  return to_json(allocate(parse_host_local(request), request.attachment), request.version);
}

void check(const Request& request) {
  const std::string folder = parse_host_local(request).folder;
  if (!has_address(folder, request.attachment, addresses_of(previous_result_or_empty(request)))) {
    throw_error(Code::internal, "host-local: Failed to find address added by container {}",
                request.attachment.container_id);
  }
}

void del(const Request& request) {
  release(reservations_folder(request), request.attachment);
}

void gc(const Request& request) {
  release_others(reservations_folder(request), valid_attachments(request));
}

void status(const Request& request) {
  parse_host_local(request);
}

}  // namespace

std::int64_t boot_time() {
  timespec now{}, up{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  // Made while the node booted, by the clock of then; kernels before 5.18 do not have it for a
  // tmpfs.
  struct statx run{};
  if (::statx(AT_FDCWD, "/run", 0, STATX_BTIME, &run) != 0 || (run.stx_mask & STATX_BTIME) == 0) {
    return 0;
  }
  return std::min<std::int64_t>(now.tv_sec - up.tv_sec, run.stx_btime.tv_sec);
}

AddResult allocate(const HostLocalConfig& config, const Attachment& attachment,
                   const Containers& containers) {
  AddResult result;
  if (!config.resolv_conf.empty()) {
    const Result<std::string> text = read_file(config.resolv_conf, kMostResolvConf);
    if (!text) {
      throw CniError(Code::io_failure, text.error().text);
    }
    result.dns = parse_resolv_conf(*text);
  }
  Reservations reservations(config.folder);
  result.ips = take_all(reservations, config, attachment, containers);
  result.routes = config.routes;
  return result;
}

std::vector<IpAddr> release(const std::string& folder, const Attachment& attachment,
                            const std::vector<IpAddr>& known) {
  if (is_missing(folder)) {
    return {};
  }
  Reservations reservations(folder);
  bool all_were_its_own = !known.empty();
  for (const IpAddr& address : known) {
    const std::optional<Reservation> reservation = reservations.find(address);
    if (reservation && reservation->is_of(attachment)) {
      reservations.release(address);
    } else {
      all_were_its_own = false;
    }
  }
  std::vector<IpAddr> others;
  if (all_were_its_own) {
    return others;
  }
  for (const Reservation& reservation : reservations.list()) {
    if (reservation.is_of(attachment)) {
      reservations.release(reservation.address);
      others.push_back(reservation.address);
    }
  }
  return others;
}

bool has_address(const std::string& folder, const Attachment& attachment,
                 const std::vector<IpAddr>& known) {
  if (is_missing(folder)) {
    return false;
  }
  const Reservations reservations(folder);
  for (const IpAddr& address : known) {
    const std::optional<Reservation> reservation = reservations.find(address);
    if (reservation && reservation->is_of(attachment)) {
      return true;
    }
  }
  const std::vector<Reservation> all = reservations.list();
  return std::any_of(all.begin(), all.end(),
                     [&](const Reservation& each) { return each.is_of(attachment); });
}

void release_others(const std::string& folder, const std::vector<Attachment>& valid) {
  if (is_missing(folder)) {
    return;
  }
  Reservations reservations(folder);
  for (const Reservation& reservation : reservations.list()) {
    const bool is_valid = std::any_of(valid.begin(), valid.end(), [&](const Attachment& each) {
      return reservation.is_of(each);
    });
    if (!is_valid) {
      reservations.release(reservation.address);
    }
  }
}

const Plugin kHostLocal = {"host-local", add, check, del, gc, status};

}  // namespace flannel::cni
