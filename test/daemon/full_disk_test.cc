// A daemon whose files lie on a disk that is full: it says so, and nothing half is left there.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "test/daemon/daemon_fixture.h"
#include "test/support/needs.h"

namespace flannel {
namespace {

class FullDisk : public DaemonFixture<> {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    std::filesystem::create_directory(disk);
    ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k"), 0);
    options.subnet_file = disk + "/subnet.env";
    options.state_dir = disk;
    store.put(peer(1, "198.18.1.1"));
  }
  void TearDown() override {
    crash();
    ::umount2(disk.c_str(), MNT_DETACH);
  }

  void fill() const {
    const UniqueFd filler(::open((disk + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    while (write_all(filler.get(), page)) {
    }
    EXPECT_EQ(errno, ENOSPC);
  }
  void make_space() const { std::filesystem::remove(disk + "/filler"); }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(disk)) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  std::string file_trouble() { return state().writer ? state().writer->trouble() : ""; }
  std::size_t written_peers() const {
    const auto state = LastKnownStateFile(disk, "fake " + options.subnet_file).read();
    return state ? state->peers.size() : 0;
  }

  const std::string disk = directory.file("disk");
};

TEST_F(FullDisk, AtTheStartIsWaitedFor) {
  fill();
  start();
  ASSERT_TRUE(run_until([&] { return !file_trouble().empty() && state().subnet_file.is_tried(); }));
  EXPECT_TRUE(state().waiting_for().contains("No space left")) << state().waiting_for();
  EXPECT_TRUE(file_trouble().contains("full")) << file_trouble();
  EXPECT_FALSE(state().ready);
  for (const std::string& name : files()) {
    EXPECT_FALSE(name.starts_with("subnet.env")) << name;
  }
  make_space();
  EXPECT_TRUE(
      run_until([&] { return state().ready && written_peers() == 1 && file_trouble().empty(); }));
}

TEST_F(FullDisk, LaterKeepsWhatIsThere) {
  start();
  ASSERT_TRUE(run_until([&] { return state().ready && written_peers() == 1; }));
  const std::string subnet = *read_file(options.subnet_file);
  fill();
  for (unsigned i = 2; i <= 100; ++i) {
    store.put(peer(i, fmt::format("198.18.1.{}", i)));
  }
  ASSERT_TRUE(run_until([&] { return !file_trouble().empty(); }));
  EXPECT_EQ(written_peers(), 1U);
  kernel.host_view.interfaces.front().mtu = 1400;
  kernel.change_host({.all = true});
  ASSERT_TRUE(run_until([&] { return !state().subnet_file.trouble().empty(); }));
  EXPECT_EQ(read_file(options.subnet_file), subnet);
  make_space();
  EXPECT_TRUE(run_until([&] { return written_peers() == 100 && file_trouble().empty(); }));
  EXPECT_TRUE(run_until([&] { return read_file(options.subnet_file) != subnet; }));
}

}  // namespace
}  // namespace flannel
