#include "kube/node_name.h"

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/printable.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kWithin{10};

// spec.nodeName; empty where there is none.
std::string node_of_pod(const std::string& pod) {
  boost::system::error_code error;
  const json::value document = json::parse(pod, error);
  const json::object* const object = document.if_object();
  const json::value* const spec = object == nullptr ? nullptr : object->if_contains("spec");
  const json::object* const fields = spec == nullptr ? nullptr : spec->if_object();
  const json::value* const name = fields == nullptr ? nullptr : fields->if_contains("nodeName");
  return name != nullptr && name->is_string() ? std::string(name->get_string()) : "";
}

}  // namespace

bool is_object_name(std::string_view name) {
  constexpr std::size_t kLongest = 253;
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kLongest && alphanumeric(name.front()) &&
         alphanumeric(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

Task<std::string> find_node_name(ApiClient& client, std::string pod_namespace, std::string pod) {
  ApiRequest request{.path = fmt::format("/api/v1/namespaces/{}/pods/{}", pod_namespace, pod)};
  std::string answer;
  try {
    answer = co_await client.call(std::move(request), std::chrono::steady_clock::now() + kWithin);
  } catch (const ApiError& error) {
    if (error.status != 404) {
      throw;
    }
    throw std::runtime_error(
        fmt::format("error retrieving pod spec for '{}/{}': {}", pod_namespace, pod, error.what()));
  }
  const std::string name = node_of_pod(answer);
  if (!is_object_name(name)) {
    throw std::runtime_error(
        fmt::format("node name not present in pod spec '{}/{}'", pod_namespace, pod));
  }
  co_return name;
}

}  // namespace flannel
