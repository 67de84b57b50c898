#include "cni/ipam.h"

#include "cni/delegate.h"
#include "cni/error.h"
#include "cni/plugin.h"

namespace flannel::cni {
namespace {

bool is_built_in(const std::string& type) {
  return type == kHostLocal.name;
}

}  // namespace

AddResult ipam_add(const Request& request, const std::string& type, const Containers& containers) {
  AddResult result = is_built_in(type)
                         ? allocate(parse_host_local(request), request.attachment, containers)
                         : delegate_add(request, type, request.config);
  if (result.ips.empty()) {
    throw_error(Code::internal, "IPAM plugin returned missing IP config");
  }
  return result;
}

void ipam_check(const Request& request, const std::string& type) {
  if (is_built_in(type)) {
    kHostLocal.check(request);
  } else if (!type.empty()) {
    run_delegate(request, "CHECK", type, request.config);
  }
}

void ipam_del(const Request& request, const std::string& type, const std::vector<IpAddr>& known) {
  if (is_built_in(type)) {
    release(reservations_folder(request), request.attachment, known);
  } else if (!type.empty()) {
    run_delegate(request, "DEL", type, request.config);
  }
}

}  // namespace flannel::cni
