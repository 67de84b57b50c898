#include "backend/engine.h"

#include "base/log.h"

namespace flannel {

std::unique_ptr<Engine> Backend::engine() const {
  return nullptr;
}

void Engine::set_trouble(const std::string& trouble) {
  if (trouble == trouble_) {
    return;
  }
  log_trouble(!trouble.empty(), trouble.empty() ? "the backend works" : "backend: " + trouble);
  trouble_ = trouble;
  has_worked_ = has_worked_ || trouble.empty();
  if (on_trouble) {
    on_trouble();
  }
}

}  // namespace flannel
