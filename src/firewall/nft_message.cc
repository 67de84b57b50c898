#include "firewall/nft_message.h"

#include <vector>

namespace flannel {
namespace {

constexpr std::uint8_t kComment = 0;

}  // namespace

std::string_view nft_comment(netlink::Bytes userdata) {
  while (userdata.size() >= 2) {
    const std::uint8_t type = userdata[0];
    const std::size_t length = userdata[1];
    userdata = userdata.subspan(2);
    if (length > userdata.size()) {
      return "";
    }
    if (type == kComment) {
      return netlink::Attribute{0, userdata.first(length)}.text();
    }
    userdata = userdata.subspan(length);
  }
  return "";
}

void put_nft_comment(netlink::Batch& batch, std::uint16_t type, std::string_view comment) {
  std::vector<std::uint8_t> userdata = {kComment, static_cast<std::uint8_t>(comment.size() + 1)};
  userdata.insert(userdata.end(), comment.begin(), comment.end());
  userdata.push_back(0);
  batch.put_bytes(type, userdata);
}

}  // namespace flannel
