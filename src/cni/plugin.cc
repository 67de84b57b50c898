#include "cni/plugin.h"

#include <algorithm>
#include <array>

namespace flannel::cni {

const Plugin* find_plugin(std::string_view name) {
  static constexpr std::array kPlugins = {&kFlannel, &kBridge, &kHostLocal, &kPortmap, &kLoopback};
  const auto* found = std::find_if(kPlugins.begin(), kPlugins.end(),
                                   [&](const Plugin* plugin) { return plugin->name == name; });
  return found == kPlugins.end() ? nullptr : *found;
}

}  // namespace flannel::cni
