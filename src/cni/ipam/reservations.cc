#include "cni/ipam/reservations.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

constexpr std::string_view kSeparator = "\r\n";
constexpr std::size_t kMostBytes = 65'536;  // of a file; a container's name may be long

// Of a folder in which we and host-local choose the names.
Result<std::string> read_own(const std::string& path) {
  return read_file(path, kMostBytes, Links::refused);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t start = text.find_first_not_of(kSpace);
  return start == std::string_view::npos
             ? std::string_view()
             : text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

Attachment parse_holder(std::string_view text) {
  const std::string_view all = trimmed(text);
  const std::size_t end = all.find(kSeparator);
  return end == std::string_view::npos
             ? Attachment{std::string(all), ""}
             : Attachment{std::string(all.substr(0, end)),
                          std::string(all.substr(end + kSeparator.size()))};
}

}  // namespace

bool Reservation::is_of(const Attachment& attachment) const {
  return holder.container_id == attachment.container_id &&
         (holder.ifname.empty() || holder.ifname == attachment.ifname);
}

Reservations::Reservations(const std::string& folder) : folder_(folder) {
  if (const Result<bool> made = make_folders(folder_); !made) {
    throw CniError(Code::io_failure, made.error().text);
  }
  Result<UniqueFd> lock = lock_file(path_of("lock"), 0750);
  if (!lock) {
    throw CniError(Code::io_failure, lock.error().text);
  }
  lock_ = std::move(*lock);
}

bool Reservations::reserve(const IpAddr& address, const Attachment& holder) {
  const std::string path = path_of(address.to_text());
  // Most are free: asking first spares a file for each that is not.
  if (::access(path.c_str(), F_OK) == 0) {
    return false;
  }
  const std::string text = holder.container_id + std::string(kSeparator) + holder.ifname;
  const Result<bool> created = create_file(path, text, 0600);
  if (!created) {
    throw_error(Code::io_failure, "cannot reserve an address: {}", created.error().text);
  }
  return *created;
}

void Reservations::release(const IpAddr& address) {
  const std::string path = path_of(address.to_text());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw_error(Code::io_failure, "cannot release {}: {}", path, std::strerror(errno));
  }
}

std::optional<Reservation> Reservations::find(const IpAddr& address) const {
  const std::string path = path_of(address.to_text());
  struct stat about{};
  const Result<std::string> text = read_own(path);
  if (!text || ::stat(path.c_str(), &about) != 0) {
    return std::nullopt;
  }
  return Reservation{address, parse_holder(*text), about.st_mtim.tv_sec};
}

std::vector<Reservation> Reservations::list() const {
  std::vector<Reservation> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const Result<IpAddr> address = IpAddr::parse(entry.path().filename().string());
    if (!address) {
      continue;  // `lock`, `last_reserved_ip.*`, and what others put there
    }
    if (std::optional<Reservation> reservation = find(*address)) {
      out.push_back(std::move(*reservation));
    }
  }
  return out;
}

std::optional<IpAddr> Reservations::last_reserved(std::size_t range_set) const {
  const Result<std::string> text = read_own(path_of(fmt::format("last_reserved_ip.{}", range_set)));
  const Result<IpAddr> address = text ? IpAddr::parse(*text) : fail("none");
  return address ? std::optional(*address) : std::nullopt;
}

void Reservations::set_last_reserved(std::size_t range_set, const IpAddr& address) {
  const std::string path = path_of(fmt::format("last_reserved_ip.{}", range_set));
  const std::string text = address.to_text();
  const UniqueFd fd(::open(
      path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd || !write_all(fd.get(), text)) {
    throw_error(Code::io_failure, "cannot write {}: {}", path, std::strerror(errno));
  }
}

}  // namespace flannel::cni
