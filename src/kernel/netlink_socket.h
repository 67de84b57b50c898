// Two kinds of netlink sockets: one to ask, one to listen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "kernel/kernel.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

// The first of a transaction's messages that the kernel refuses.
struct Refusal {
  std::size_t message = 0;  // its place in the batch
  OpResult answer;
};

// For requests: batches with one answer a message, and dumps that are complete.
// Of the size that the kernel's dumps come in at most. It is not cleared, so that it takes no more
// memory than the longest message did.
class ReceiveBuffer {
 public:
  std::uint8_t* data() { return bytes_.get(); }
  static constexpr std::size_t size() { return 65'536; }
  Bytes first(std::size_t count) const { return {bytes_.get(), count}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(size());
};

class RequestSocket {
 public:
  // `protocol` as of netlink(7). Throws std::system_error.
  explicit RequestSocket(int protocol = NETLINK_ROUTE);

  // Sends the batch and returns the kernel's answer to each of its messages. The kernel answers
  // those that fail, and the last. Throws std::system_error when the socket breaks.
  // `take` gets what it sends beside that, for requests that ask for an object.
  std::vector<OpResult> transact(
      Batch& batch,
      const std::function<void(std::size_t index, const MessageView&)>& take = [](auto...) {});

  // Sends a batch of nfnetlink, of which the kernel does all or, where it refuses one message,
  // nothing. Throws as transact().
  std::optional<Refusal> commit(Batch& batch);

  // The name of the device with this index; empty where there is none.
  Dev device_name(int index) const;

  // Sends the dump request that is the batch's only message and collects what `decode` makes of
  // the answers. A dump during which the list changed (NLM_F_DUMP_INTR, EINTR) or that overran
  // (ENOBUFS) is thrown away and made again; after ten times, and on any other error, throws
  // std::system_error that names `what`.
  template <class T>
  std::vector<T> dump(Batch& request, std::string_view what,
                      const std::function<std::optional<T>(const MessageView&)>& decode) {
    std::vector<T> rows;
    dump_messages(
        request, what, [&rows] { rows.clear(); },
        [&](const MessageView& message) {
          if (std::optional<T> row = decode(message)) {
            rows.push_back(std::move(*row));
          }
        });
    return rows;
  }

 private:
  void send(Bytes request);
  Bytes receive();
  void dump_messages(Batch& request, std::string_view what, const std::function<void()>& restart,
                     const std::function<void(const MessageView&)>& take);
  // 0 for a complete dump, else an errno after which another try may help.
  int dump_once(Batch& request, std::string_view what,
                const std::function<void(const MessageView&)>& take);

  UniqueFd fd_;
  std::uint32_t sequence_ = 1;
  bool has_room_ = false;  // for the answers to any batch
  ReceiveBuffer buffer_;
};

// For notifications; non-blocking.
class NotificationSocket {
 public:
  // Subscribes to links, addresses, neighbours, nexthops, and routes and rules of both families.
  NotificationSocket();
  // To groups of any protocol. Throws std::system_error.
  NotificationSocket(int protocol, std::span<const int> groups);

  int fd() const { return fd_.get(); }

  // Whether a message is pending, or some were lost.
  bool has_news() const;

  // Hands pending messages to `take`, in order; where there are many, or more come without pause,
  // some are left for the next call. False where some were lost (ENOBUFS).
  bool drain(const std::function<void(const MessageView&)>& take);

 private:
  bool join(int group);

  UniqueFd fd_;
  ReceiveBuffer buffer_;
};

// The answer in an NLMSG_ERROR message, with its extack text; success for an ACK.
std::optional<OpResult> decode_answer(const MessageView& message);

}  // namespace flannel::netlink
