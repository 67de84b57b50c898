// Fuzzes the files that the CNI plugin finds on a node: a reservation, the last one's address, and
// a container's record, of the same bytes. An ADD and a DEL go on, or say what is wrong.
#include <cstdint>
#include <fstream>
#include <string_view>

#include "base/directory_fixture.h"
#include "cni/flannel/delegate_record.h"
#include "cni/ipam/host_local.h"
#include "cni/protocol/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  using namespace flannel::cni;
  static const TestDirectory directory;
  static const std::string folder = directory.path();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"10.5.1.2", "last_reserved_ip.0", "id"}) {
    std::ofstream(directory.file(name)) << text;
  }
  const Prefix subnet = *Prefix::parse("10.5.1.0/29");
  const Range range{subnet, *IpAddr::parse("10.5.1.1"), *IpAddr::parse("10.5.1.6"),
                    *IpAddr::parse("10.5.1.1")};
  const HostLocalConfig config{
      .folder = folder, .sets = {{{range}}}, .requested = {}, .routes = {}, .resolv_conf = {}};
  try {
    (void)allocate(config, {"x", "eth0"});
  } catch (const CniError&) {
  }
  release(folder, {"x", "eth0"});
  (void)find_record(folder, {"id", "eth0"});
  (void)list_records(folder);
  return 0;
}
