#include "test/support/etcd_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "base/file.h"
#include "ctl/process.h"

namespace flannel {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port on 127.0.0.1");
  }
  return ntohs(address.sin_port);
}

bool accepts(std::uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// Both streams of the child go to `output`; it dies with us, unlike those of start_detached().
pid_t start_program(const std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  if (pid < 0) {
    throw std::runtime_error("fork failed");
  }
  return pid;
}

}  // namespace

std::string EtcdServer::program() {
  const char* const named = std::getenv("FLANNEL_ETCD");
  return named == nullptr ? "etcd" : named;
}

bool EtcdServer::installed() {
  const std::string look = fmt::format("command -v '{}' etcdctl >/dev/null 2>&1", program());
  return std::system(look.c_str()) == 0;
}

EtcdServer::EtcdServer(Security security, std::vector<std::string> flags)
    : security_(security), flags_(std::move(flags)), port_(free_port()), peer_port_(free_port()) {
  if (security_ == Security::tls_client_certificates) {
    make_certificates();
  }
  start();
}

EtcdServer::~EtcdServer() {
  stop();
}

std::string EtcdServer::url() const {
  const bool tls = security_ == Security::tls_client_certificates;
  return fmt::format("{}://127.0.0.1:{}", tls ? "https" : "http", port_);
}

void EtcdServer::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

void EtcdServer::start() {
  // The port may have been borrowed for an outgoing connection of somebody else.
  for (int left = 20; !try_start(); --left) {
    if (left == 0) {
      throw std::runtime_error("etcd does not start: " + read_file(file("etcd.log")).value_or(""));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

bool EtcdServer::try_start() {
  const UniqueFd output(
      ::open(file("etcd.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = start_program(command(), output.get());
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!accepts(port_)) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    if (std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error("etcd takes no connections");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

void EtcdServer::pause() const {
  ::kill(pid_, SIGSTOP);
}

void EtcdServer::go_on() const {
  ::kill(pid_, SIGCONT);
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
  const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
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

// A new key, and with `more` what is to be made of it.
void EtcdServer::openssl_request(const std::string& name, std::vector<std::string> more) const {
  std::vector<std::string> words = {"openssl",  "req",
                                    "-subj",    "/CN=" + name,
                                    "-keyout",  file(name + ".key"),
                                    "-newkey",  "ec",
                                    "-pkeyopt", "ec_paramgen_curve:P-256",
                                    "-nodes"};
  words.insert(words.end(), more.begin(), more.end());
  run_program(words);
}

void EtcdServer::renew_certificate(const std::string& name) const {
  const std::string stem = file(name);
  openssl_request(name, {"-out", stem + ".csr", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
                         "extendedKeyUsage=serverAuth,clientAuth"});
  run_program({"openssl", "x509", "-req", "-in", stem + ".csr", "-CA", file("ca.crt"), "-CAkey",
               file("ca.key"), "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out",
               stem + ".crt"});
}

void EtcdServer::make_certificates() const {
  for (const char* name : {"ca", "other-ca"}) {
    openssl_request(name, {"-x509", "-days", "2", "-out", file(std::string(name) + ".crt")});
  }
  for (const char* name : {"server", "client"}) {
    renew_certificate(name);
  }
}

}  // namespace flannel
