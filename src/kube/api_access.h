// Where the API server of Kubernetes is, and who we are to it.
#pragma once

#include <string>

#include "base/result.h"
#include "base/task.h"
#include "rpc/endpoint.h"
#include "rpc/tls.h"

namespace flannel {

struct ApiTarget {
  Endpoint endpoint;
  std::string base_path;      // in front of each request's path; no slash at its end
  TlsIdentity tls;            // where the endpoint is with TLS
  std::string authorization;  // the header's value; empty: without the header
  bool operator==(const ApiTarget&) const = default;
};

class ApiAccess {
 public:
  virtual ~ApiAccess() = default;

  // The server's URL, for people.
  virtual std::string server() const = 0;

  // As it is configured now: tokens, certificates and keys are replaced while we run. Asked before
  // each request. `rejected`: by the last answer the server did not know who we are (401). Error:
  // the file or the field that is of no use now.
  virtual Task<Result<ApiTarget>> target(bool rejected) = 0;
};

}  // namespace flannel
