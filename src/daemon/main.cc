// flanneld: reads its options, opens the store and the kernel, and runs the daemon.

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <span>

#include "base/log.h"
#include "base/version.h"
#include "daemon/claim.h"
#include "daemon/daemon.h"
#include "daemon/http_server.h"
#include "daemon/open_store.h"
#include "daemon/options.h"
#include "firewall/make_firewall_part.h"
#include "kernel/host_kernel.h"

namespace flannel {
namespace {

// Tables of thousands of peers go back to the kernel as soon as they are freed. By itself the C
// library would keep blocks of their size from then on (mallopt(3), M_MMAP_THRESHOLD), and a heap
// beside for each thread (M_ARENA_MAX).
void set_up_heap() {
  constexpr int kLarge = 64 << 10;
  ::mallopt(M_MMAP_THRESHOLD, kLarge);
  ::mallopt(M_ARENA_MAX, 1);
}

// systemd gives 1,024 descriptors, for the sake of programs that use select(2), and as many more as
// one asks for.
void raise_descriptor_limit() {
  constexpr rlim_t kEnough = 65'536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kEnough) {
    limit.rlim_cur = std::min(limit.rlim_max, kEnough);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int run(const Options& options) {
  // One thread: asio needs no locks.
  asio::io_context io(1);
  bool goes_on = true;
  std::function<void()> stop = [&] { goes_on = false; };
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) {
      signals.clear();  // a second signal has its default action
      stop();
    }
  });
  const std::optional<UniqueFd> subnet_claim = wait_for_file(options.subnet_file, [&] {
    io.poll();
    return goes_on;
  });
  if (!subnet_claim) {
    return 0;
  }
  const std::string socket = options.status_socket_path();
  const UniqueFd socket_claim = claim_file(socket);
  std::function<void(const std::string&)> on_store_trouble;
  Result<std::unique_ptr<LeaseStore>> store =
      open_store(io.get_executor(), options,
                 [&on_store_trouble](const std::string& trouble) { on_store_trouble(trouble); });
  if (!store) {
    log_error("Failed to create SubnetManager: {}", store.error().text);
    return 1;
  }
  std::vector<std::unique_ptr<Part>> parts;
  parts.push_back(make_firewall_part(std::chrono::seconds(options.iptables_resync)));
  HostKernel kernel(std::move(parts));
  Daemon daemon(io, options, kernel, kernel, std::move(*store));
  on_store_trouble = [&daemon](const std::string& trouble) {
    daemon.store_state(StoreHealth::Use::stream, trouble);
  };
  stop = [&daemon] { daemon.stop(); };
  daemon.start();
  io.run();
  if (socket_claim) {
    remove_socket(socket);
  }
  // Nothing is torn down at exit: the overlay stays, and the process's memory is the kernel's
  // business. Unwinding the suspended coroutines would only be a way to hang or crash.
  std::fflush(nullptr);
  std::quick_exit(daemon.exit_code());
}

int start(std::span<char*> arguments) {
  const std::vector<std::string> words(arguments.begin(), arguments.end());
  const ParsedOptions parsed = parse_options(words, [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::string() : std::string(value);
  });
  switch (parsed.outcome) {
    case ParsedOptions::Outcome::run:
      break;
    case ParsedOptions::Outcome::help:
      fmt::print(stderr, "{}", parsed.text);
      return 0;
    case ParsedOptions::Outcome::version:
      fmt::print(stderr, "{}\n", kVersion);
      return 0;
    case ParsedOptions::Outcome::error:
      fmt::print(stderr, "{}", parsed.text);
      return 2;
  }
  set_log_verbosity(static_cast<int>(parsed.options.v));
  for (const std::string& warning : parsed.warnings) {
    log_warning("{}", warning);
  }
  log_info("{}", describe(parsed.options));
  set_up_heap();
  raise_descriptor_limit();
  return run(parsed.options);
}

}  // namespace
}  // namespace flannel

int main(int argc, char** argv) {
  try {
    return flannel::start({argv, static_cast<std::size_t>(argc)});
  } catch (const std::exception& error) {
    flannel::log_error("{}", error.what());
    return 1;
  }
}
