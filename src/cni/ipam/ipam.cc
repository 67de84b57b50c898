#include "cni/ipam/ipam.h"

#include "cni/protocol/delegate.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"

namespace flannel::cni {
namespace {

bool is_built_in(const std::string& type) {
  return type == kHostLocal.name;
}

void hand_on(const Request& request, const std::string& type, const char* command,
             void (*built_in)(const Request&)) {
  if (is_built_in(type)) {
    built_in(request);
  } else if (!type.empty()) {
    run_delegate(request, command, type, request.config);
  }
}

}  // namespace

AddResult ipam_add(const Request& request, const std::string& type, const Containers& containers) {
  AddResult result = is_built_in(type)
                         ? allocate(parse_host_local(request), request.attachment, containers)
                         : delegate_add(request, type, request.config);
  if (result.ips.empty()) {
    throw_error(Code::internal, "IPAM plugin returned missing IP config");
  }
  check_routes(result.routes);
  return result;
}

void ipam_check(const Request& request, const std::string& type) {
  hand_on(request, type, "CHECK", kHostLocal.check);
}

void ipam_gc(const Request& request, const std::string& type) {
  hand_on(request, type, "GC", kHostLocal.gc);
}

void ipam_status(const Request& request, const std::string& type) {
  hand_on(request, type, "STATUS", kHostLocal.status);
}

std::vector<IpAddr> ipam_del(const Request& request, const std::string& type,
                             const std::vector<IpAddr>& known) {
  if (is_built_in(type)) {
    return release(reservations_folder(request), request.attachment, known);
  }
  if (!type.empty()) {
    run_delegate(request, "DEL", type, request.config);
  }
  return {};
}

}  // namespace flannel::cni
