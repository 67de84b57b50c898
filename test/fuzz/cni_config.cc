// Fuzzes what a runtime gives the CNI plugin on standard input: any bytes give a request for each
// plugin or an error, never a crash. Delegates are made of a fixed subnet.env.
#include <cstdint>
#include <string_view>

#include "cni/bridge/bridge_config.h"
#include "cni/flannel/flannel_delegate.h"
#include "cni/ipam/host_local_config.h"
#include "cni/protocol/error.h"

namespace {

using namespace flannel::cni;

const char* variable(const char* name) {
  const std::string_view text(name);
  return text == "CNI_COMMAND" ? "ADD" : text == "CNI_ARGS" ? "" : "x";
}

template <class Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const CniError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const FlannelEnv env = *parse_flannel_env(
      "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.1.1/24\nFLANNEL_MTU=1450\n"
      "FLANNEL_IPMASQ=true\n",
      "");
  attempt([&] {
    const Request request = parse_request(variable, text);
    attempt([&] { (void)valid_attachments(request); });
    attempt([&] { (void)parse_bridge(request); });
    attempt([&] { (void)parse_host_local(request); });
    attempt([&] { (void)parse_flannel(request); });
    attempt([&] { (void)make_delegate_for_removal(request); });
    attempt([&] {
      const Request handed_on = delegated(request, make_delegate(request, env));
      (void)parse_bridge(handed_on);
      (void)parse_host_local(handed_on);
    });
  });
  return 0;
}
