#include "daemon/state_writer.h"

#include <malloc.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <utility>
#include <vector>

#include "base/log.h"

namespace flannel {
namespace {

// On the disk's thread: thousands of rows, and a disk that may take its time.
Task<Result<void>> write_to(LastKnownStateFile file, LastKnownState state) {
  co_return file.write(state);
}

Task<Result<void>> write_changes_to(LastKnownStateFile file, LastKnownState changed,
                                    std::vector<LeaseKey> gone) {
  co_return file.write_changes(changed, gone);
}

}  // namespace

StateWriter::StateWriter(const asio::any_io_executor& executor, LastKnownStateFile file,
                         Inputs inputs, Timing timing)
    : file_(std::move(file)), inputs_(inputs), timing_(timing), changed_(executor) {}

void StateWriter::changed() {
  if (begun_) {
    changed_.set();
  }
}

void StateWriter::peers_changed(const PeersDelta& delta) {
  unwritten_.add(delta);
  changed();
}

void StateWriter::set_trouble(const std::string& trouble) {
  if (trouble != trouble_) {
    log_trouble(!trouble.empty(), trouble.empty()
                                      ? "the last known state can be written again"
                                      : "the last known state cannot be written: " + trouble);
    trouble_ = trouble;
  }
}

Task<void> StateWriter::run() {
  Backoff retries = timing_.retries;
  for (Deadline retry = kNever;;) {
    co_await changed_.wait(retry);
    co_await sleep_for(timing_.delay);
    changed_.clear();
    const bool all = unwritten_.all();
    Task<Result<void>> writing = write_unwritten();
    unwritten_.clear();
    const Result<void> result =
        co_await asio::co_spawn(disk_, std::move(writing), asio::use_awaitable);
    if (result) {
      retries.reset();
      retry = kNever;
    } else {
      unwritten_.add_all();  // the file is not as we left it
      retry = std::chrono::steady_clock::now() + retries.next();
    }
    set_trouble(result ? "" : result.error().text);
    if (all) {
      // What a list of thousands was read and written with lies free between what stays.
      ::malloc_trim(0);
    }
  }
}

// A copy, for the disk's thread: of all peers, or of those alone that the file does not have yet.
LastKnownState StateWriter::state(bool all) const {
  LastKnownState state{inputs_.config, inputs_.own, {}, std::chrono::system_clock::now()};
  for (const Lease* peer : all ? inputs_.peers.usable() : unwritten_.come(inputs_.peers)) {
    state.peers.push_back(*peer);
  }
  return state;
}

Task<Result<void>> StateWriter::write_unwritten() const {
  if (unwritten_.all()) {
    return write_to(file_, state(true));
  }
  std::vector<LeaseKey> gone;
  for (const Lease* peer : unwritten_.gone()) {
    gone.push_back(peer->key);
  }
  return write_changes_to(file_, state(false), std::move(gone));
}

// It comes after a write that is under way, and no disk keeps the process for long; what SQLite has
// not finished is undone by whoever opens the file next.
void StateWriter::write_last() {
  std::future<Result<void>> writing =
      asio::co_spawn(disk_, write_to(file_, state(true)), asio::use_future);
  const bool done = writing.wait_for(timing_.last_write) == std::future_status::ready;
  const Result<void> written = done ? writing.get() : fail("{} is slow", file_.path());
  set_trouble(written ? "" : written.error().text);
}

}  // namespace flannel
