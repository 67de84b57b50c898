// A lab's lease store: an SQLite file, an etcd of its own, or one that runs already.

#include <thread>

#include "ctl/interrupt.h"
#include "ctl/lab.h"
#include "ctl/relay.h"
#include "store/local_store.h"

namespace flannel {

void Lab::open_store(const LabOptions& options) {
  reread();
  if (options.store == "local") {
    const std::string path = directory_ + "/leases.db";
    const Result<void> written = write_local_config(path, record_.setting("config"));
    if (!written) {
      throw std::runtime_error(written.error().text);
    }
    journal_.add_setting("store", "--local-store=" + path);
  } else if (options.store == "etcd") {
    journal_.add_setting("store", "--etcd-endpoints=" + start_etcd());
  } else {
    journal_.add_setting("store", "--etcd-endpoints=" + start_relay(options.store.substr(5)));
  }
}

void Lab::write_etcd_config(const std::vector<std::string>& etcdctl) {
  Arguments put = etcdctl;
  const std::string key = fmt::format("/flannel-lab/{}/config", name_);
  put.insert(put.end(), {"put", key, record_.setting("config")});
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  for (;;) {
    const ProgramResult result = RunningProgram(put).wait();
    if (result.status == 0) {
      return;
    }
    check_interrupted();
    if (std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error("etcd did not take the configuration: " + last_line(result.output));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

// In the underlay's namespace, where every node reaches it.
std::string Lab::start_etcd() {
  const std::string url = "http://198.18.0.1:2379";
  start_program("etcd",
                {"etcd", "--data-dir=" + directory_ + "/etcd", "--listen-client-urls=" + url,
                 "--advertise-client-urls=" + url, "--listen-peer-urls=http://127.0.0.1:2380"},
                net());
  write_etcd_config({"ip", "netns", "exec", net(), "env", "ETCDCTL_API=3", "etcdctl",
                     "--endpoints=" + url, "--dial-timeout=1s"});
  return url;
}

// Nodes cannot reach the machine's own addresses, but they share its files: a relay from a unix
// socket.
std::string Lab::start_relay(const std::string& url) {
  if (const Result<void> there = try_relay(url); !there) {
    throw std::runtime_error("--store etcd=" + url + ": " + there.error().text);
  }
  write_etcd_config({"env", "ETCDCTL_API=3", "etcdctl", "--endpoints=" + url, "--dial-timeout=1s"});
  journal_.add_setting("etcd", url);
  const std::string socket = directory_ + "/etcd.sock";
  start_program("relay", {"/proc/self/exe", "lab", "relay", socket, url}, "");
  return "unix://" + socket;
}

}  // namespace flannel
