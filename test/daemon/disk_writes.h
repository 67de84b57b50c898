// What SQLite writes to the disk in this process, seen by a test.
#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <functional>
#include <utility>

namespace flannel {

// As long as there is one, `before` is called before each write, by whichever thread makes it.
class DiskWrites {
 public:
  explicit DiskWrites(std::function<void()> before) {
    function() = std::move(before);
    set(reinterpret_cast<sqlite3_syscall_ptr>(&write));
  }
  ~DiskWrites() { set(nullptr); }
  DiskWrites(const DiskWrites&) = delete;
  DiskWrites& operator=(const DiskWrites&) = delete;

 private:
  static std::function<void()>& function() {
    static std::function<void()> only;
    return only;
  }
  static void set(sqlite3_syscall_ptr call) {
    sqlite3_vfs* const vfs = ::sqlite3_vfs_find(nullptr);
    for (const char* name : {"pwrite", "pwrite64"}) {  // it depends on how SQLite was built
      vfs->xSetSystemCall(vfs, name, call);
    }
  }
  static ssize_t write(int fd, const void* bytes, size_t count, off_t offset) {
    function()();
    return ::pwrite(fd, bytes, count, offset);
  }
};

}  // namespace flannel
