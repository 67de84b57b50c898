#include "cni/protocol/error.h"

#include "process/process.h"

namespace flannel::cni {
namespace {

Code code_of(ProcessError::Kind kind) {
  switch (kind) {
    case ProcessError::Kind::not_started:
    case ProcessError::Kind::io:
      return Code::io_failure;
    case ProcessError::Kind::too_slow:
      return Code::try_again_later;
    case ProcessError::Kind::too_much_output:
      break;
  }
  return Code::internal;
}

}  // namespace

CniError to_cni_error(const std::exception& error) {
  if (const auto* known = dynamic_cast<const CniError*>(&error)) {
    return *known;
  }
  const auto* process = dynamic_cast<const ProcessError*>(&error);
  return {process == nullptr ? Code::internal : code_of(process->kind()), error.what()};
}

}  // namespace flannel::cni
