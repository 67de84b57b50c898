#include "test/support/etcd_server.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "ctl/process.h"
#include "test/support/certificates.h"

namespace flannel {

std::string EtcdServer::program() {
  const char* const named = std::getenv("FLANNEL_ETCD");
  return named == nullptr ? "etcd" : named;
}

bool EtcdServer::installed() {
  const std::string look = fmt::format("command -v '{}' etcdctl >/dev/null 2>&1", program());
  return std::system(look.c_str()) == 0;
}

EtcdServer::EtcdServer(Security security, std::vector<std::string> flags)
    : security_(security), flags_(std::move(flags)) {
  if (security_ == Security::tls_client_certificates) {
    make_certificates();
  }
  start();
}

std::string EtcdServer::url() const {
  const bool tls = security_ == Security::tls_client_certificates;
  return fmt::format("{}://127.0.0.1:{}", tls ? "https" : "http", port_.number());
}

void EtcdServer::start() {
  process_.start(command(), port_.number());
}

void EtcdServer::save_data() const {
  std::filesystem::copy(file("data"), file("saved"), std::filesystem::copy_options::recursive);
}

void EtcdServer::restore_data() {
  erase_data();
  std::filesystem::rename(file("saved"), file("data"));
}

void EtcdServer::erase_data() {
  std::filesystem::remove_all(file("data"));
}

std::string EtcdServer::ctl(std::vector<std::string> words) const {
  std::vector<std::string> command = {"env", "ETCDCTL_API=3", "etcdctl", "--endpoints=" + url()};
  if (security_ == Security::tls_client_certificates) {
    command.insert(command.end(), {"--cacert=" + file("ca.crt"), "--cert=" + file("client.crt"),
                                   "--key=" + file("client.key")});
  }
  command.insert(command.end(), words.begin(), words.end());
  return run_program(command);
}

std::vector<std::string> EtcdServer::command() const {
  const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_.number());
  std::vector<std::string> words = {program(),
                                    "--data-dir=" + file("data"),
                                    "--listen-client-urls=" + url(),
                                    "--advertise-client-urls=" + url(),
                                    "--listen-peer-urls=" + peer,
                                    "--initial-advertise-peer-urls=" + peer,
                                    "--initial-cluster=default=" + peer,
                                    "--heartbeat-interval=10",
                                    "--election-timeout=100",
                                    "--log-level=warn"};
  if (security_ == Security::tls_client_certificates) {
    words.insert(words.end(),
                 {"--cert-file=" + file("server.crt"), "--key-file=" + file("server.key"),
                  "--trusted-ca-file=" + file("ca.crt"), "--client-cert-auth"});
  }
  words.insert(words.end(), flags_.begin(), flags_.end());
  return words;
}

void EtcdServer::renew_certificate(const std::string& name) const {
  make_certificate(directory_.path(), "ca", name, "/CN=" + name);
}

void EtcdServer::make_certificates() const {
  for (const char* name : {"ca", "other-ca"}) {
    make_authority(directory_.path(), name);
  }
  for (const char* name : {"server", "client"}) {
    renew_certificate(name);
  }
}

}  // namespace flannel
