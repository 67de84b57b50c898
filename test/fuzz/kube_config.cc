// Fuzzes kubeconfigs, what exec plugins say, and URLs of the API: any text gives a value or an
// error in printable words.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/printable.h"
#include "kube/exec_plugin.h"
#include "kube/kubeconfig.h"

namespace {

void check(const std::string& error) {
  if (error.empty() || error != flannel::printable(error, error.size())) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<Kubeconfig> config = parse_kubeconfig(text, "/config");
  if (!config) {
    check(config.error().text);
  }
  const Result<ExecCredential> credential =
      parse_exec_credential(text, "client.authentication.k8s.io/v1");
  if (!credential) {
    check(credential.error().text);
  }
  const Result<ApiUrl> url = parse_api_url(text, true);
  if (!url) {
    check(url.error().text);
  } else if (url->base_path.ends_with('/') || !url->endpoint.tls) {
    std::abort();
  }
  return 0;
}
