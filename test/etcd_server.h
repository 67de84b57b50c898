// A real etcd for tests: its own port on 127.0.0.1, its own data directory, gone with the object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace flannel {

// A directory under the system's temporary one, removed with all it contains.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Runs a program to its end and returns what it printed, both streams; throws
// std::runtime_error with that text when it fails.
std::string run_program(const std::vector<std::string>& words);

class EtcdServer {
 public:
  enum class Security { plain, tls_client_certificates };

  // True where the `etcd` program is installed. Where it is not, a test is skipped, loudly, and
  // fails with CI=true: ETCD_OR_SKIP().
  static bool installed();

  // Starts it, and returns when it takes connections.
  explicit EtcdServer(Security security = Security::plain);
  EtcdServer(const EtcdServer&) = delete;
  EtcdServer& operator=(const EtcdServer&) = delete;
  ~EtcdServer();

  // `http://127.0.0.1:PORT`, or https; the same after a restart.
  std::string url() const;
  // Ends it (SIGKILL), keeping its data.
  void stop();
  void start();
  // Forgets all data, as a new cluster; only while stopped.
  void erase_data();

  // With its output: ctl({"put", "/coreos.com/network/config", "{}"}).
  std::string ctl(std::vector<std::string> words) const;

  // The files of tls_client_certificates: ca.crt, client.crt, client.key, and other-ca.crt, which
  // signed nothing of these.
  std::string file(const std::string& name) const;

 private:
  void make_certificates();
  bool try_start();
  std::vector<std::string> command() const;

  Security security_;
  TemporaryDirectory directory_;
  std::uint16_t port_ = 0;
  std::uint16_t peer_port_ = 0;
  pid_t pid_ = -1;
};

#define ETCD_OR_SKIP()                                                                   \
  if (!::flannel::EtcdServer::installed()) {                                             \
    const char* const ci = std::getenv("CI");                                            \
    ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << "etcd is not installed"; \
    GTEST_SKIP() << "NOT TESTED: etcd is not installed (Debian: etcd-server)";           \
  }

}  // namespace flannel
