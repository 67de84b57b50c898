#include "rpc/http2_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>

#include "rpc/http2_client_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

TEST_F(Http2ClientTest, NamesEachEndpointThatCannotBeReached) {
  Listener gone(loop, "");
  Listener also_gone(loop, "");
  const Endpoint a = gone.endpoint();
  const Endpoint b = also_gone.endpoint();
  gone.close();
  also_gone.close();
  Http2Client client(loop.get_executor(), {a, b}, nullptr);
  EXPECT_EQ(outcome(client), "connect to " + a.authority() + ": Connection refused; connect to " +
                                 b.authority() + ": Connection refused");
}

TEST_F(Http2ClientTest, GoesOnToAnEndpointThatAnswers) {
  Listener gone(loop, "");
  const Endpoint dead = gone.endpoint();
  gone.close();
  Listener alive(loop, kSettings);
  Http2Client client(loop.get_executor(), {dead, alive.endpoint()}, nullptr);
  EXPECT_EQ(outcome(client, 100ms), alive.endpoint().authority() + ": no answer in time");
  EXPECT_EQ(alive.connections(), 1);
}

TEST_F(Http2ClientTest, ASilentServerIsNoticedAndTheNextOneAsked) {
  Listener silent(loop, kSettings);
  Listener other(loop, kSettings);
  Http2Client client(loop.get_executor(), {silent.endpoint(), other.endpoint()}, nullptr,
                     {.ping_after = 20ms, .pong_within = 20ms});
  EXPECT_EQ(outcome(client), silent.endpoint().authority() + ": no sign of life for 40 ms");
  EXPECT_EQ(outcome(client), other.endpoint().authority() + ": no sign of life for 40 ms");
  EXPECT_EQ(silent.connections(), 1);
  EXPECT_EQ(other.connections(), 1);
}

// As a name of several API servers has them.
TEST_F(Http2ClientTest, TheAddressesOfAnEndpointAreAskedInTurn) {
  Listener one(loop, kSettings), two(loop, kSettings), gone(loop, "");
  std::vector<Transport::Address> addresses;
  for (const Listener* listener : {&one, &gone, &two}) {
    addresses.emplace_back(
        tcp::endpoint(asio::ip::address_v4::loopback(), listener->endpoint().port));
  }
  gone.close();
  const auto resolver = [&](Endpoint) -> Task<std::vector<Transport::Address>> {
    co_return addresses;
  };
  Http2Client client(loop.get_executor(), {{.host = "kube.test", .port = 1}}, nullptr,
                     {.ping_after = 20ms, .pong_within = 20ms}, resolver);
  const auto ask = [&] { EXPECT_EQ(outcome(client), "kube.test:1: no sign of life for 40 ms"); };
  const auto connections = [&] { return std::pair(one.connections(), two.connections()); };
  ask();
  EXPECT_EQ(connections(), std::pair(1, 0));
  ask();
  EXPECT_EQ(connections(), std::pair(1, 1)) << "the one between them cannot be reached";
  std::ranges::reverse(addresses);  // as servers of names like to do
  ask();
  EXPECT_EQ(connections(), std::pair(2, 1));
  addresses = {addresses.front()};
  ask();
  EXPECT_EQ(connections(), std::pair(2, 2)) << "the last one is not there any more";
}

TEST_F(Http2ClientTest, ReachesAUnixSocket) {
  const std::string path = fmt::format("/tmp/flannel-http2-{}.sock", ::getpid());
  asio::local::stream_protocol::acceptor acceptor(loop, path);
  asio::local::stream_protocol::socket accepted(loop);
  acceptor.async_accept(accepted, [](boost::system::error_code) {});
  Http2Client client(loop.get_executor(), {*parse_endpoint("unix://" + path)}, nullptr);
  EXPECT_EQ(outcome(client, 50ms), "localhost: no answer in time");
  ::unlink(path.c_str());
  std::string request(300, '\0');
  request.resize(accepted.read_some(asio::buffer(request)));
  EXPECT_TRUE(request.starts_with("PRI * HTTP/2.0\r\n"));
}

TEST_F(Http2ClientTest, SaysWhatItMetThatIsNotHttp2) {
  Listener http1(loop, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  Http2Client client(loop.get_executor(), {http1.endpoint()}, nullptr);
  const std::string text = outcome(client);
  EXPECT_TRUE(text.starts_with(http1.endpoint().authority() + ": not HTTP/2 from the server:"))
      << text;
}

TEST_F(Http2ClientTest, AServerThatHangsUpIsAskedOncePerRequest) {
  Listener rude(loop, kSettings, true);
  Http2Client client(loop.get_executor(), {rude.endpoint()}, nullptr);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_NE(outcome(client), "200");
    EXPECT_EQ(rude.connections(), i);
  }
}

TEST_F(Http2ClientTest, AClientGoneWhileConnectingLeavesNothingBehind) {
  Listener alive(loop, kSettings);
  auto client =
      std::make_unique<Http2Client>(loop.get_executor(), std::vector{alive.endpoint()}, nullptr);
  bool done = false;
  asio::co_spawn(loop, ask(*client, kNever), [&](std::exception_ptr error, int) {
    done = true;
    EXPECT_TRUE(error);
  });
  for (int handlers = 0; handlers < 3; ++handlers) {  // accept, ask, dial
    loop.run_one();
  }
  client.reset();
  run_until([&] { return done; });
}

}  // namespace
}  // namespace flannel
