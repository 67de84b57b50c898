// Files for the tests of the local store.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/directory_fixture.h"
#include "base/file.h"

namespace flannel {

// Another process, in step with this one: each waits for the other's tell(). Begin it before this
// one opens a database, since SQLite's locks do not survive a fork. It ends with the object at the
// latest: then its wait() returns false.
class OtherProcess {
 public:
  // `work` gets the other end, and returns whether all went well.
  template <class Work>
  explicit OtherProcess(Work work) {
    auto [child_in, our_out] = make_pipe();
    auto [our_in, child_out] = make_pipe();
    child_ = ::fork();
    if (child_ == 0) {
      our_out = UniqueFd();  // or its own wait() would never see ours end
      our_in = UniqueFd();
      in_ = std::move(child_in);
      out_ = std::move(child_out);
      bool good = false;
      try {
        good = work(*this);
      } catch (const std::exception&) {
        good = false;
      }
      ::_exit(good ? 0 : 1);
    }
    in_ = std::move(our_in);
    out_ = std::move(our_out);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() { finish(); }

  bool tell() const { return ::write(out_.get(), "x", 1) == 1; }
  bool wait() const {
    char byte = 0;
    return ::read(in_.get(), &byte, 1) == 1;
  }
  // Waits for its end; true where all went well.
  bool finish() {
    out_ = UniqueFd();
    int status = 1;
    if (child_ > 0) {
      ::waitpid(std::exchange(child_, -1), &status, 0);
    }
    return status == 0;
  }

 private:
  // Read end, write end.
  static std::pair<UniqueFd, UniqueFd> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("cannot make a pipe");
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }

  UniqueFd in_, out_;
  pid_t child_ = -1;
};

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace flannel
