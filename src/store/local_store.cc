#include "store/local_store.h"

#include <algorithm>
#include <functional>
#include <type_traits>
#include <utility>

#include "store/config_changes.h"
#include "store/file_watch.h"

namespace flannel {
namespace {

using SteadyPoint = std::chrono::steady_clock::time_point;

constexpr std::pair<std::uint64_t, std::int64_t> kNoOwnRow{0, -1};
constexpr std::chrono::hours kFar{24 * 365};
constexpr std::chrono::milliseconds kWriting{10};  // until a writer may be done

// What differs between two looks at the file. Each may find another configuration.
class LocalWatch : public LeaseWatch {
 public:
  LocalWatch(const asio::any_io_executor& executor, std::shared_ptr<LeaseFile> file,
             ConfigChanges& config, Now now)
      : file_(std::move(file)),
        config_(config),
        now_(std::move(now)),
        changes_(executor, file_->path()) {}

  Task<std::optional<LeaseUpdate>> next(Deadline deadline) override {
    for (;;) {
      if (!file_->is_still_there()) {
        throw std::runtime_error(file_->path() + " was removed or replaced");
      }
      if (!seen_ || (next_expiry_ && *next_expiry_ <= now_())) {
        file_->expire();
      }
      LeaseUpdate update = look();
      config_.set();
      if (update != LeaseUpdate{}) {
        co_return update;
      }
      const SteadyPoint now = std::chrono::steady_clock::now();
      if (now >= deadline) {
        co_return std::nullopt;
      }
      const SteadyPoint look_at = writing_ ? now + kWriting : now + until_expiry();
      co_await changes_.changed_or(std::min(look_at, deadline));
    }
  }

 private:
  // No further than what a clock can count to, whatever the file says.
  SteadyPoint::duration until_expiry() const {
    return next_expiry_ ? std::min<SteadyPoint::duration>(*next_expiry_ - now_(), kFar) : kFar;
  }

  LeaseUpdate look() {
    LeaseUpdate update = look_once();
    // Nothing need come after the event that woke us: either no writer is left whose change cannot
    // be seen yet, or we look again.
    writing_ = update == LeaseUpdate{} && file_->is_being_written();
    return update != LeaseUpdate{} || writing_ ? std::move(update) : look_once();
  }

  LeaseUpdate look_once() {
    LeaseFile::Changes changes = file_->changes_since(seen_);
    if (changes.position != seen_) {
      add_own(changes.update, changes.own);
      seen_ = changes.position;
      next_expiry_ = changes.next_expiry;
    }
    return std::move(changes.update);
  }

  void add_own(LeaseUpdate& update, const std::optional<LeaseFile::OwnRow>& own) {
    const std::pair now = own ? std::pair(own->writes, own->revision) : kNoOwnRow;
    if (std::exchange(own_row_, now) != now || update.snapshot) {
      update.own = own ? std::optional(own->entry) : std::nullopt;
    }
  }

  std::shared_ptr<LeaseFile> file_;
  ConfigChanges& config_;
  Now now_;
  FileWatch changes_;
  // With the last look.
  std::optional<LeaseFile::Position> seen_;
  std::optional<std::chrono::system_clock::time_point> next_expiry_;
  // Our own row's writes and revision, then.
  std::pair<std::uint64_t, std::int64_t> own_row_ = kNoOwnRow;
  bool writing_ = false;  // somebody else was, then
};

class LocalStore : public LeaseStore {
 public:
  LocalStore(asio::any_io_executor executor, const std::string& path, Now now)
      : executor_(std::move(executor)),
        path_(path),
        now_(std::move(now)),
        file_(std::make_shared<LeaseFile>(path, LeaseFile::IfMissing::create, now_)),
        config_(executor_) {}

  std::string name() const override { return "local " + path_; }

  Task<std::optional<std::string>> config() override { co_return file()->config(); }
  Task<Result<std::string>> next_config(std::optional<std::string> last) override {
    return config_.next(*this, std::move(last));
  }

  Task<Result<Lease>> acquire(AcquireRequest request) override {
    co_return file()->acquire(request);
  }

  Task<Result<Lease>> renew(Lease lease) override { co_return file()->renew(lease); }

  std::unique_ptr<LeaseWatch> watch() override {
    return std::make_unique<LocalWatch>(executor_, file(), config_, now_);
  }

 private:
  // Opened anew where somebody replaced it. It is not made anew: an empty one would keep whoever
  // moves the file back from doing so.
  const std::shared_ptr<LeaseFile>& file() {
    if (!file_->is_still_there()) {
      const auto reopened = std::make_shared<LeaseFile>(path_, LeaseFile::IfMissing::refuse, now_);
      reopened->continue_from(*file_);
      file_ = reopened;
    }
    return file_;
  }

  asio::any_io_executor executor_;
  std::string path_;
  Now now_;
  std::shared_ptr<LeaseFile> file_;  // with the watches, which may be of an older one
  ConfigChanges config_;
};

// Runs `work` on the file; what it throws is the error.
template <class Work>
std::invoke_result_t<Work, LeaseFile&> with_file(const std::string& path,
                                                 LeaseFile::IfMissing missing, Work work) {
  try {
    LeaseFile file(path, missing, [] { return std::chrono::system_clock::now(); });
    return work(file);
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
  return with_file(path, LeaseFile::IfMissing::create, [&](LeaseFile& file) -> Result<void> {
    file.set_config(json);
    return {};
  });
}

Result<void> put_local_leases(const std::string& path, std::span<const Lease> leases) {
  return with_file(path, LeaseFile::IfMissing::create, [&](LeaseFile& file) -> Result<void> {
    file.put(leases);
    return {};
  });
}

Result<void> remove_local_lease(const std::string& path, const LeaseKey& key) {
  return with_file(path, LeaseFile::IfMissing::refuse, [&](LeaseFile& file) -> Result<void> {
    file.remove(key);
    return {};
  });
}

Result<std::vector<Lease>> list_local_leases(const std::string& path) {
  return with_file(
      path, LeaseFile::IfMissing::refuse,
      [](const LeaseFile& file) -> Result<std::vector<Lease>> { return file.leases(); });
}

}  // namespace flannel
