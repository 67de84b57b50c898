#include "store/config_changes.h"

#include <utility>

namespace flannel {

Result<std::string> no_config(const LeaseStore& store) {
  return fail("there is none in {} any more", store.name());
}

Task<Result<std::string>> ConfigChanges::next(LeaseStore& store, std::optional<std::string> last) {
  for (;;) {
    co_await changed_.wait();
    std::optional<std::string> text;
    try {
      text = co_await store.config();
    } catch (...) {
      changed_.set();  // whoever asks again has still to read it
      throw;
    }
    if (text != last) {
      co_return text ? Result<std::string>(std::move(*text)) : no_config(store);
    }
  }
}

}  // namespace flannel
