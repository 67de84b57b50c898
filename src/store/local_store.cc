#include "store/local_store.h"

#include <algorithm>

#include "store/file_watch.h"

namespace flannel {
namespace {

using SteadyPoint = std::chrono::steady_clock::time_point;

// What differs between two looks at the file.
class LocalWatch : public LeaseWatch {
 public:
  LocalWatch(const asio::any_io_executor& executor, LeaseFile& file, Now now)
      : file_(file), now_(std::move(now)), changes_(executor, file.path()) {}

  Task<LeaseUpdate> next() override {
    for (;;) {
      if (!file_.is_still_there()) {
        throw std::runtime_error(file_.path() + " was removed or replaced");
      }
      const SteadyPoint expiry = next_expiry();
      LeaseUpdate update = look();
      if (update.snapshot || !update.leases.empty() || !update.removed.empty() ||
          !update.bad.empty()) {
        co_return update;
      }
      co_await changes_.changed_or(expiry);
    }
  }

 private:
  SteadyPoint next_expiry() {
    const std::optional<std::chrono::system_clock::time_point> at = file_.expire();
    return at ? std::chrono::steady_clock::now() + (*at - now_()) : SteadyPoint::max();
  }

  LeaseUpdate look() {
    LeaseUpdate update;
    if (revision_ && file_.revision() == *revision_) {
      return update;
    }
    LeaseFile::Rows rows = file_.rows_since(revision_.value_or(-1));
    update.snapshot = !revision_;
    update.leases = std::move(rows.changed);
    update.bad = std::move(rows.bad);
    std::vector<std::string> gone;
    std::set_difference(keys_.begin(), keys_.end(), rows.keys.begin(), rows.keys.end(),
                        std::back_inserter(gone));
    for (const std::string& key : gone) {
      if (const Result<LeaseKey> parsed = parse_lease_key(key)) {
        update.removed.push_back(*parsed);
      }
    }
    revision_ = rows.revision;
    keys_ = std::move(rows.keys);
    return update;
  }

  LeaseFile& file_;
  Now now_;
  FileWatch changes_;
  std::optional<std::int64_t> revision_;  // of the last look
  std::vector<std::string> keys_;         // that there were then, in order
};

class LocalStore : public LeaseStore {
 public:
  LocalStore(asio::any_io_executor executor, const std::string& path, Now now)
      : executor_(std::move(executor)),
        path_(path),
        now_(std::move(now)),
        file_(std::make_unique<LeaseFile>(path, now_)) {}

  std::string name() const override { return "local " + path_; }

  Task<std::optional<std::string>> config() override { co_return file().config(); }

  Task<Result<Lease>> acquire(AcquireRequest request) override {
    co_return file().acquire(request);
  }

  Task<Result<Lease>> renew(Lease lease) override { co_return file().renew(lease); }

  std::unique_ptr<LeaseWatch> watch() override {
    return std::make_unique<LocalWatch>(executor_, file(), now_);
  }

 private:
  // Opened anew where somebody removed or replaced it.
  LeaseFile& file() {
    if (!file_->is_still_there()) {
      file_ = std::make_unique<LeaseFile>(path_, now_);
    }
    return *file_;
  }

  asio::any_io_executor executor_;
  std::string path_;
  Now now_;
  std::unique_ptr<LeaseFile> file_;
};

Now system_now() {
  return [] { return std::chrono::system_clock::now(); };
}

// Runs `work` on the file; what it throws is the error.
template <class Work>
auto with_file(const std::string& path, Work work) -> Result<decltype(work(*(LeaseFile*)nullptr))> {
  try {
    LeaseFile file(path, system_now());
    if constexpr (std::is_void_v<decltype(work(file))>) {
      work(file);
      return {};
    } else {
      return work(file);
    }
  } catch (const std::runtime_error& error) {
    return fail("{}", error.what());
  }
}

}  // namespace

Result<std::unique_ptr<LeaseStore>> make_local_store(asio::any_io_executor executor,
                                                     const std::string& path, Now now) {
  try {
    return std::make_unique<LocalStore>(std::move(executor), path, std::move(now));
  } catch (const std::runtime_error& error) {
    return fail("{}", error.what());
  }
}

Result<void> write_local_config(const std::string& path, std::string_view json) {
  return with_file(path, [&](LeaseFile& file) { file.set_config(json); });
}

Result<void> put_local_leases(const std::string& path, std::span<const Lease> leases) {
  return with_file(path, [&](LeaseFile& file) { file.put(leases); });
}

Result<std::vector<Lease>> list_local_leases(const std::string& path) {
  return with_file(path, [](const LeaseFile& file) { return file.leases(); });
}

}  // namespace flannel
