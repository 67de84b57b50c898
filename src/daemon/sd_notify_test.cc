#include "daemon/sd_notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace flannel {
namespace {

// $NOTIFY_SOCKET for one test.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& address) {
    ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  ~NotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
};

// In the abstract namespace the address is as long as it says (unix(7)): one byte more is another.
TEST(SdNotify, ReachesAnAbstractAddress) {
  const std::string name = "flannel-notify-" + std::to_string(::getpid());
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  const NotifySocket variable("@" + name);
  EXPECT_TRUE(sd_notify("READY=1"));
  std::array<char, 100> heard{};
  const ssize_t size = ::recv(manager.get(), heard.data(), heard.size(), 0);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(heard.data(), static_cast<std::size_t>(size)), "READY=1");
}

TEST(SdNotify, SaysWhereItCannotBeSent) {
  EXPECT_TRUE(sd_notify("READY=1")) << "nobody wants it";
  for (const std::string& address :
       {std::string("/nonexistent/notify"), std::string("relative"), "@" + std::string(200, 'x')}) {
    const NotifySocket variable(address);
    EXPECT_FALSE(sd_notify("READY=1")) << address;
  }
}

}  // namespace
}  // namespace flannel
