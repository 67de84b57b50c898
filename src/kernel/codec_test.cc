// Every codec on bytes: what is written is read back the same, and bytes that are cut short or
// random are read as nothing, never past their end.

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <random>

#include "kernel/address_codec.h"
#include "kernel/link_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/netlink_socket.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"

namespace flannel::netlink {
namespace {

// The messages of a batch, as a receiver would see them.
std::vector<MessageView> messages_of(Batch& batch) {
  std::vector<MessageView> out;
  Bytes rest = batch.finish(1);
  while (const std::optional<MessageView> message = next_message(rest)) {
    out.push_back(*message);
  }
  EXPECT_EQ(out.size(), batch.count());
  return out;
}

Link vxlan_link() {
  Link link;
  link.key.name = "flannel.7";
  link.kind = Vxlan{7, *IpAddr::parse("198.18.0.2"), {}, 4789, true, true};
  link.mac = *Mac::parse("02:00:00:00:00:07");
  link.mtu = 1450;
  link.up = false;
  return link;
}

TEST(LinkCodec, ReadsWhatItWrites) {
  Batch batch;
  encode_add(batch, vxlan_link(), 3);
  const std::optional<LinkMessage> read = decode_link(messages_of(batch)[0]);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_text(Object(read->link)), to_text(Object(vxlan_link())));
  EXPECT_EQ(read->lower_index, 3);
}

TEST(LinkCodec, AnIpv6UnderlayHasItsOwnAttribute) {
  Link link = vxlan_link();
  std::get<Vxlan>(link.kind).local = *IpAddr::parse("fd99::2");
  Batch batch;
  encode_add(batch, link, 3);
  EXPECT_EQ(decode_link(messages_of(batch)[0])->link, link);
}

TEST(LinkCodec, AChangeLeavesTheMacOutWhereItIsTheSame) {
  const LinkMessage was{.link = vxlan_link(), .index = 9};
  Link link = was.link;
  link.mtu = 1300;
  Batch batch;
  encode_change(batch, link, was);
  Bytes rest = messages_of(batch)[0].payload;
  ASSERT_TRUE(take_header<ifinfomsg>(rest));
  EXPECT_FALSE(find_attribute(rest, IFLA_ADDRESS));
}

TEST(AddressCodec, ReadsWhatItWrites) {
  for (const char* text : {"10.5.60.0/32", "fc00:5::/128"}) {
    const Address address{{"flannel.1", *Prefix::parse(text)}};
    Batch batch;
    encode_put(batch, address, 5);
    encode_remove(batch, address, 5);
    for (const MessageView& message : messages_of(batch)) {
      const std::optional<AddressMessage> read = decode_address(message);
      ASSERT_TRUE(read);
      EXPECT_EQ(read->address.prefix, address.key.prefix);
      EXPECT_EQ(read->index, 5);
    }
  }
}

TEST(NeighbourCodec, ReadsWhatItWrites) {
  for (const char* text : {"10.5.61.0", "fc00:5:0:61::"}) {
    const Neighbour neighbour{{{}, *IpAddr::parse(text)}, Mac::local(0x61)};
    const FdbEntry entry{{{}, Mac::local(0x61)}, *IpAddr::parse(text)};
    Batch batch;
    encode_put(batch, neighbour, 5);
    encode_put(batch, entry, 5);
    const std::vector<MessageView> messages = messages_of(batch);
    const NeighbourMessage first = *decode_neighbour(messages[0]);
    EXPECT_EQ(std::get<Neighbour>(first.object), neighbour);
    EXPECT_TRUE(first.permanent);
    EXPECT_EQ(first.index, 5);
    const NeighbourMessage second = *decode_neighbour(messages[1]);
    EXPECT_EQ(std::get<FdbEntry>(second.object), entry);
    EXPECT_TRUE(second.permanent);
  }
}

TEST(NexthopCodec, ReadsWhatItWrites) {
  for (const char* text : {"10.5.61.0", "fc00:5:0:61::"}) {
    const Nexthop nexthop{{77}, *IpAddr::parse(text), {}, true};
    Batch batch;
    encode_put(batch, nexthop, 5, true);
    const NexthopMessage read = *decode_nexthop(messages_of(batch)[0]);
    EXPECT_EQ(read.nexthop, nexthop);
    EXPECT_EQ(read.index, 5);
    EXPECT_EQ(read.protocol, kRouteProtocol);
  }
}

TEST(RouteCodec, ReadsWhatItWrites) {
  Route plain;
  plain.key = {*Prefix::parse("10.5.61.0/24"), 0};
  plain.via = *IpAddr::parse("10.5.61.0");
  plain.onlink = true;
  Route through;
  through.key = {*Prefix::parse("fc00:5:0:61::/64"), 1024};
  through.nexthop = 77;
  for (const Route& route : {plain, through}) {
    Batch batch;
    encode_put(batch, route, 5);
    const RouteMessage read = *decode_route(messages_of(batch)[0]);
    EXPECT_EQ(to_text(Object(read.route)), to_text(Object(route)));
    EXPECT_EQ(read.index, route.nexthop == 0 ? 5 : 0);
  }
}

TEST(RouteCodec, TellsPlainRoutesFromTheOthers) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = RTN_UNICAST;
  const auto decoded = [&header](void (*change)(rtmsg&)) {
    rtmsg other = header;
    change(other);
    Batch batch;
    batch.begin(RTM_NEWROUTE, 0, other);
    return decode_route(messages_of(batch)[0]);
  };
  EXPECT_TRUE(decoded([](rtmsg&) {})->is_plain());
  EXPECT_FALSE(decoded([](rtmsg& h) { h.rtm_table = RT_TABLE_LOCAL; })->in_main_table);
  EXPECT_FALSE(decoded([](rtmsg& h) { h.rtm_tos = 4; })->in_main_table);
  const std::optional<RouteMessage> hole = decoded([](rtmsg& h) { h.rtm_type = RTN_BLACKHOLE; });
  EXPECT_TRUE(hole->in_main_table);
  EXPECT_FALSE(hole->is_plain());
  for (const auto change :
       {+[](rtmsg& h) { h.rtm_flags = RTM_F_CLONED; }, +[](rtmsg& h) { h.rtm_family = AF_BRIDGE; },
        +[](rtmsg& h) { h.rtm_dst_len = 33; }}) {
    EXPECT_FALSE(decoded(change));
  }
}

// A recorded answer: RTM_NEWNEIGH refused with an extack text, the request left out (NLM_F_CAPPED).
TEST(Answer, CarriesTheKernelsWords) {
  std::vector<std::uint8_t> bytes(sizeof(nlmsghdr) + sizeof(nlmsgerr));
  auto* header = reinterpret_cast<nlmsghdr*>(bytes.data());
  auto* answer = reinterpret_cast<nlmsgerr*>(bytes.data() + sizeof(nlmsghdr));
  answer->error = -EINVAL;
  answer->msg.nlmsg_len = 60;
  const std::string text = "Invalid link address";
  nlattr attribute{static_cast<std::uint16_t>(sizeof(nlattr) + text.size() + 1), NLMSGERR_ATTR_MSG};
  const auto* raw = reinterpret_cast<const std::uint8_t*>(&attribute);
  header->nlmsg_type = NLMSG_ERROR;
  header->nlmsg_flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
  header->nlmsg_len = static_cast<std::uint32_t>(bytes.size() + attribute.nla_len);
  bytes.insert(bytes.end(), raw, raw + sizeof attribute);
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.push_back(0);
  Bytes rest(bytes);
  const std::optional<OpResult> result = decode_answer(*next_message(rest));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->error, EINVAL);
  EXPECT_EQ(result->text, text);
}

TEST(Answer, AnErrorThatIsNoneIsAProtocolError) {
  for (const std::int32_t code : {INT32_MIN, -5000, 1}) {
    nlmsgerr answer{};
    answer.error = code;
    Batch batch;
    batch.begin(NLMSG_ERROR, 0, answer);
    EXPECT_EQ(decode_answer(messages_of(batch)[0])->error, EPROTO) << code;
  }
}

// Everything that reads messages, on one.
void decode_all(const MessageView& message) {
  decode_link(message);
  decode_address(message);
  decode_neighbour(message);
  decode_nexthop(message);
  decode_route(message);
  decode_answer(message);
}

std::vector<std::uint8_t> sample_of_all() {
  Batch batch;
  encode_add(batch, vxlan_link(), 3);
  encode_put(batch, Address{{"x", *Prefix::parse("10.5.60.0/32")}}, 5);
  encode_put(batch, Neighbour{{{}, *IpAddr::parse("10.5.61.0")}, Mac::local(1)}, 5);
  encode_put(batch, FdbEntry{{{}, Mac::local(1)}, *IpAddr::parse("fd99::3")}, 5);
  encode_put(batch, Nexthop{{77}, *IpAddr::parse("10.5.61.0"), {}, true}, 5, false);
  Route route;
  route.key = {*Prefix::parse("fc00:5:0:61::/64"), 1024};
  route.via = *IpAddr::parse("fc00:5:0:61::");
  encode_put(batch, route, 5);
  const Bytes bytes = batch.finish(1);
  return {bytes.begin(), bytes.end()};
}

TEST(Codecs, BytesCutShortAreReadAsFarAsTheyGo) {
  const std::vector<std::uint8_t> all = sample_of_all();
  for (std::size_t length = 0; length <= all.size(); ++length) {
    // A copy of exactly that size, so that a read behind its end is one behind an allocation.
    const std::vector<std::uint8_t> cut(all.begin(),
                                        all.begin() + static_cast<std::ptrdiff_t>(length));
    Bytes rest(cut);
    while (const std::optional<MessageView> message = next_message(rest)) {
      decode_all(*message);
    }
    EXPECT_TRUE(rest.empty());
  }
}

TEST(Codecs, RandomBytesDoNoHarm) {
  const std::vector<std::uint8_t> all = sample_of_all();
  std::minstd_rand random(11);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> bytes = all;
    for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    Bytes rest(bytes);
    while (const std::optional<MessageView> message = next_message(rest)) {
      decode_all(*message);
    }
  }
}

TEST(Batch, GrowsAndNumbersItsMessages) {
  Batch batch;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    encode_put(batch, Neighbour{{{}, IpAddr::from_number(Family::v4, i)}, Mac::local(i)}, 5);
  }
  Bytes rest = batch.finish(100);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::optional<MessageView> message = next_message(rest);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->sequence, 100 + i);
    EXPECT_EQ((message->flags & NLM_F_ACK) != 0, i == 999);
    EXPECT_EQ(std::get<Neighbour>(decode_neighbour(*message)->object).key.ip.number(), i);
  }
  EXPECT_FALSE(next_message(rest));
}

}  // namespace
}  // namespace flannel::netlink
