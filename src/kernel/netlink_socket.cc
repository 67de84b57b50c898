#include "kernel/netlink_socket.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace flannel::netlink {
namespace {

// The kernel fills dump messages up to 32 kB where the reader has the room.
// Answers to a whole batch, or a burst of notifications, must fit: each takes 1 to 5 kB there. The
// system's default has room for a few.
constexpr std::size_t kFewAnswers = 16;
constexpr int kRequestReceiveBuffer = 4 << 20;
constexpr int kNotificationReceiveBuffer = 16 << 20;
// Of the tens of thousands that can be pending, as after a start: so that what is made of them
// takes little room.
constexpr int kMostAtOnce = 4'096;
constexpr int kDumpTries = 10;

[[noreturn]] void fail_with_errno(std::string_view what) {
  throw std::system_error(errno, std::generic_category(), "netlink: " + std::string(what));
}

UniqueFd open_socket(int type, int protocol) {
  UniqueFd fd(::socket(AF_NETLINK, type | SOCK_CLOEXEC, protocol));
  if (!fd) {
    fail_with_errno("socket");
  }
  return fd;
}

void set_receive_buffer(int fd, int bytes) {
  // Without CAP_NET_ADMIN the system's limit applies.
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
}

void set_option(int fd, int option) {
  const int on = 1;
  // Older kernels lack some; everything works without, but with shorter errors or more to read.
  ::setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

// The kernel answers with 0 or a negated errno; anything else is no answer of its.
int errno_of(std::int32_t answer) {
  constexpr std::int32_t kMostErrno = 4095;  // include/linux/err.h, MAX_ERRNO
  return answer > 0 || answer < -kMostErrno ? EPROTO : -answer;
}

bool worth_another_try(int error) {
  return error == EINTR || error == EBUSY || error == ENOBUFS;
}

}  // namespace

std::optional<OpResult> decode_answer(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<nlmsgerr> answer = take_header<nlmsgerr>(rest);
  if (message.type != NLMSG_ERROR || !answer) {
    return std::nullopt;
  }
  OpResult result;
  result.error = errno_of(answer->error);
  if (result.ok()) {
    return result;
  }
  if ((message.flags & NLM_F_CAPPED) == 0) {  // the whole request follows, then the attributes
    const std::size_t request = answer->msg.nlmsg_len > sizeof answer->msg
                                    ? NLMSG_ALIGN(answer->msg.nlmsg_len) - sizeof answer->msg
                                    : 0;
    rest = rest.subspan(std::min(request, rest.size()));
  }
  if ((message.flags & NLM_F_ACK_TLVS) != 0) {
    if (const std::optional<Attribute> text = find_attribute(rest, NLMSGERR_ATTR_MSG)) {
      result.text = text->text();
    }
  }
  if (result.text.empty()) {
    result.text = std::strerror(result.error);
  }
  return result;
}

RequestSocket::RequestSocket(int protocol) : fd_(open_socket(SOCK_RAW, protocol)) {
  set_option(fd_.get(), NETLINK_CAP_ACK);
  set_option(fd_.get(), NETLINK_EXT_ACK);
  set_option(fd_.get(), NETLINK_GET_STRICT_CHK);
  // The kernel answers before sendmsg() returns: waiting this long means that it will not.
  const timeval limit{10, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

void RequestSocket::send(Bytes request) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent = ::sendto(fd_.get(), request.data(), request.size(), 0,
                                reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent != static_cast<ssize_t>(request.size())) {
    fail_with_errno("send");
  }
}

// One datagram; empty on an error, which is in errno.
Bytes RequestSocket::receive() {
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got >= 0) {
      return buffer_.first(static_cast<std::size_t>(got));
    }
    if (errno != EINTR) {
      return {};
    }
  }
}

std::vector<OpResult> RequestSocket::transact(
    Batch& batch, const std::function<void(std::size_t index, const MessageView&)>& take) {
  std::vector<OpResult> results(batch.count());
  if (batch.empty()) {
    return results;
  }
  const std::uint32_t first = sequence_;
  const std::uint32_t count = static_cast<std::uint32_t>(batch.count());
  sequence_ += count;
  if (count > kFewAnswers && !has_room_) {
    set_receive_buffer(fd_.get(), kRequestReceiveBuffer);
    has_room_ = true;
  }
  send(batch.finish(first));
  for (bool done = false; !done;) {
    Bytes rest = receive();
    if (rest.empty()) {
      if (errno != ENOBUFS) {
        fail_with_errno("receive");
      }
      // Some answers are lost, so the outcome of all that did not fail is unknown.
      for (OpResult& result : results) {
        if (result.ok()) {
          result = {ENOBUFS, "the kernel's answer was lost"};
        }
      }
      return results;
    }
    while (const std::optional<MessageView> message = next_message(rest)) {
      const std::uint32_t index = message->sequence - first;  // wraps for older answers
      const std::optional<OpResult> answer = decode_answer(*message);
      if (index < count && answer) {
        results[index] = *answer;
        done = done || index == count - 1;
      } else if (index < count) {
        take(index, *message);
        done = done || (index == count - 1 && batch.asks());
      }
    }
  }
  return results;
}

std::optional<Refusal> RequestSocket::commit(Batch& batch) {
  const std::uint32_t first = sequence_;
  sequence_ += static_cast<std::uint32_t>(batch.count());
  send(batch.finish(first));
  // Only refusals are certain to be answered: kernels before 6.10 leave out the acknowledgement
  // that the last message of a batch asks for. All answers are there when send() returns.
  std::optional<Refusal> refused;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return refused;
    }
    if (got < 0 && errno != EINTR) {
      fail_with_errno("receive");
    }
    Bytes rest = buffer_.first(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    while (const std::optional<MessageView> message = next_message(rest)) {
      const std::uint32_t index = message->sequence - first;
      const std::optional<OpResult> answer = decode_answer(*message);
      if (index < batch.count() && answer && !answer->ok() && !refused) {
        refused = {index, *answer};
      }
    }
  }
}

// netdevice(7). Any socket of the namespace will do, and neither rtnl_lock is taken nor a module
// looked for (net/core/dev_ioctl.c, dev_ifname).
Dev RequestSocket::device_name(int index) const {
  ifreq request{};
  request.ifr_ifindex = index;
  const bool is_there = ::ioctl(fd_.get(), SIOCGIFNAME, &request) == 0;
  return is_there ? Dev(std::string_view(request.ifr_name)) : Dev();
}

void RequestSocket::dump_messages(Batch& request, std::string_view what,
                                  const std::function<void()>& restart,
                                  const std::function<void(const MessageView&)>& take) {
  int error = 0;
  for (int attempt = 0; attempt < kDumpTries; ++attempt) {
    restart();
    error = dump_once(request, what, take);
    if (error == 0) {
      return;
    }
  }
  throw std::system_error(error, std::generic_category(),
                          fmt::format("netlink: no complete list of {}", what));
}

int RequestSocket::dump_once(Batch& request, std::string_view what,
                             const std::function<void(const MessageView&)>& take) {
  const std::uint32_t sequence = sequence_++;
  send(request.finish_dump(sequence));
  bool interrupted = false;
  bool overrun = false;
  for (;;) {
    Bytes rest = receive();
    if (rest.empty()) {
      // The rest still comes, and the kernel begins no other dump before its end (EBUSY).
      if (errno == ENOBUFS) {
        overrun = true;
        continue;
      }
      if (overrun && (errno == EAGAIN || errno == EWOULDBLOCK)) {  // the end was lost as well
        return ENOBUFS;
      }
      fail_with_errno(what);
    }
    while (const std::optional<MessageView> message = next_message(rest)) {
      if (message->sequence != sequence) {
        continue;  // the end of a dump that was given up
      }
      interrupted = interrupted || (message->flags & NLM_F_DUMP_INTR) != 0;
      if (message->type == NLMSG_DONE) {
        Bytes payload = message->payload;
        const int error = errno_of(take_header<std::int32_t>(payload).value_or(0));
        if (error != 0 && !worth_another_try(error)) {
          throw std::system_error(error, std::generic_category(),
                                  fmt::format("netlink: list of {}", what));
        }
        return overrun ? ENOBUFS : interrupted ? EINTR : error;
      }
      if (const std::optional<OpResult> answer = decode_answer(*message)) {
        if (worth_another_try(answer->error)) {
          return answer->error;
        }
        throw std::system_error(answer->error, std::generic_category(),
                                fmt::format("netlink: list of {}: {}", what, answer->text));
      }
      take(*message);
    }
  }
}

NotificationSocket::NotificationSocket()
    : NotificationSocket(NETLINK_ROUTE,
                         std::array<int, 8>{RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                            RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                            RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE}) {
  (void)join(RTNLGRP_NEXTHOP);  // which kernels before 5.3 do not have
}

NotificationSocket::NotificationSocket(int protocol, std::span<const int> groups)
    : fd_(open_socket(SOCK_RAW | SOCK_NONBLOCK, protocol)) {
  set_receive_buffer(fd_.get(), kNotificationReceiveBuffer);
  // One that asks has a number as soon as it does. One that only listens needs one as well: the
  // kernel's own is 0, and whose number a notification bears does not get it.
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail_with_errno("bind");
  }
  for (const int group : groups) {
    if (!join(group)) {
      fail_with_errno("subscribe");
    }
  }
}

bool NotificationSocket::join(int group) {
  return ::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0;
}

bool NotificationSocket::has_news() const {
  pollfd readable{fd_.get(), POLLIN, 0};
  return ::poll(&readable, 1, 0) != 0;
}

bool NotificationSocket::drain(const std::function<void(const MessageView&)>& take) {
  bool complete = true;
  for (int left = kMostAtOnce; left > 0; --left) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) {
      complete = false;
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else if (got < 0 && errno != EINTR) {
      fail_with_errno("notifications");
    } else if (got >= 0) {
      Bytes rest = buffer_.first(static_cast<std::size_t>(got));
      while (const std::optional<MessageView> message = next_message(rest)) {
        take(*message);
      }
    }
  }
  return complete;
}

}  // namespace flannel::netlink
