// A real etcd for tests: its own port on 127.0.0.1, its own data directory, gone with the object.
// Debian's, or the one that FLANNEL_ETCD names (scripts/build-etcd): CTest runs the tests with
// both.
#pragma once

#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "test/support/needs.h"
#include "test/support/server_process.h"

namespace flannel {

class EtcdServer {
 public:
  enum class Security { plain, tls_client_certificates };

  // Its program.
  static std::string program();
  // True where it and `etcdctl` are installed: ETCD_OR_SKIP().
  static bool installed();

  // Starts it with these flags as well, and returns when it takes connections.
  explicit EtcdServer(Security security = Security::plain, std::vector<std::string> flags = {});

  // `http://127.0.0.1:PORT`, or https; the same after a restart.
  std::string url() const;
  // Ends it (SIGKILL), keeping its data.
  void stop() { process_.stop(); }
  void start();
  // It answers no more, but its connections stay (SIGSTOP), until it goes on.
  void pause() const { process_.pause(); }
  void go_on() const { process_.go_on(); }
  // Forgets all data, as a new cluster; only while stopped.
  void erase_data();
  // Keeps a copy of the data, and puts it back, as a restored backup; only while stopped.
  void save_data() const;
  void restore_data();
  // Replaces the server's certificate or the client's by another of the same authority.
  void renew_certificate(const std::string& name) const;

  // With its output: ctl({"put", "/coreos.com/network/config", "{}"}).
  std::string ctl(std::vector<std::string> words) const;

  // The files of tls_client_certificates: ca.crt, client.crt, client.key, and other-ca.crt, which
  // signed nothing of these.
  std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  void make_certificates() const;
  std::vector<std::string> command() const;

  Security security_;
  std::vector<std::string> flags_;
  TestDirectory directory_;
  const ServerPort port_, peer_port_;
  ServerProcess process_{file("etcd.log")};
};

#define ETCD_OR_SKIP()                      \
  NEEDS(::flannel::EtcdServer::installed(), \
        ::flannel::EtcdServer::program() +  \
            " or etcdctl is missing"        \
            " (Debian: etcd-server, etcd-client; newer: scripts/build-etcd)")

}  // namespace flannel
