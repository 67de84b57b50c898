#include "rpc/grpc.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace flannel {
namespace {

using namespace std::string_literals;

TEST(Grpc, AFrameIsAFlagALengthAndTheMessage) {
  EXPECT_EQ(grpc_frame(""), "\0\0\0\0\0"s);
  EXPECT_EQ(grpc_frame("abc"), "\0\0\0\0\3abc"s);
  EXPECT_EQ(grpc_frame(std::string(0x10203, 'x')).substr(0, 5), "\0\0\1\2\3"s);
}

// A stream whose answer has already arrived, whole.
class GrpcStreamTest : public testing::Test {
 protected:
  GrpcStreamTest() {
    exchange->headers = {{":status", "200"}, {"content-type", "application/grpc"}};
    exchange->trailers = {{"grpc-status", "0"}};
    exchange->headers_complete = exchange->ended = exchange->closed = true;
  }

  // The messages, and after them `end` or the error.
  std::vector<std::string> read_all() {
    const auto transport = std::make_shared<Transport>(loop.get_executor(), nullptr);
    GrpcStream stream(Http2Stream(
        Http2Connection::start(loop.get_executor(), transport, "http", "test"), exchange));
    std::vector<std::string> out;
    asio::co_spawn(loop, collect(&stream, &out), [&out](std::exception_ptr error) {
      try {
        if (error) {
          std::rethrow_exception(error);
        }
        out.push_back("end");
      } catch (const GrpcError& caught) {
        out.push_back(fmt::format("{}: {}", static_cast<int>(caught.code()), caught.what()));
      } catch (const std::exception& caught) {
        out.push_back(caught.what());
      }
    });
    loop.restart();
    loop.run();
    return out;
  }

  static Task<void> collect(GrpcStream* stream, std::vector<std::string>* out) {
    while (co_await stream->next_message()) {
      std::string message;
      for (std::string part = co_await stream->read_part(); !part.empty();) {
        message += part;
        part = co_await stream->read_part();
      }
      out->push_back(std::move(message));
    }
  }

  asio::io_context loop;
  std::shared_ptr<Http2Exchange> exchange = std::make_shared<Http2Exchange>();
};

using Texts = std::vector<std::string>;

TEST_F(GrpcStreamTest, GivesOneMessageAfterTheOther) {
  exchange->incoming = grpc_frame("one") + grpc_frame("") + grpc_frame("three");
  EXPECT_EQ(read_all(), (Texts{"one", "", "three", "end"}));
}

TEST_F(GrpcStreamTest, EndsWithTheServersStatusAndWords) {
  exchange->incoming = grpc_frame("one");
  exchange->trailers = {{"grpc-status", "14"}, {"grpc-message", "etcdserver%3A no leader"}};
  EXPECT_EQ(read_all(), (Texts{"one", "14: etcdserver: no leader"}));
  exchange->trailers[1].value = "100%25 or 100%";
  EXPECT_EQ(read_all(), Texts{"14: 100%25 or 100%"});
}

TEST_F(GrpcStreamTest, TakesTheStatusFromHeadersWhereThereIsNothingElse) {
  exchange->trailers.clear();
  exchange->headers.push_back({"grpc-status", "7"});
  EXPECT_EQ(read_all(), Texts{"7: gRPC status 7"});
}

TEST_F(GrpcStreamTest, DoesNotTakeAnEndWithoutStatusForSuccess) {
  exchange->trailers = {{"other", "x"}};
  EXPECT_EQ(read_all(), Texts{"2: the server ended the call without a status"});
}

TEST_F(GrpcStreamTest, RefusesWhatIsNoMessage) {
  exchange->incoming = grpc_frame("whole") + grpc_frame("cut off").substr(0, 8);
  EXPECT_EQ(read_all(), (Texts{"whole", "13: the server's last message is cut off"}));
  exchange->incoming = "\1\0\0\0\1x"s;
  EXPECT_EQ(read_all(), Texts{"13: the server compressed a message unasked"});
  exchange->incoming = "\0\xff\0\0\0"s;
  EXPECT_EQ(read_all(), Texts{"13: the server's last message is cut off"});
}

TEST_F(GrpcStreamTest, SaysWhatAnotherKindOfServerAnswered) {
  exchange->headers = {{":status", "503"}, {"content-type", "text/html"}};
  EXPECT_EQ(read_all(),
            Texts{"14: not a gRPC server: HTTP status 503, content type \"text/html\""});
}

TEST_F(GrpcStreamTest, ALostConnectionIsNotAnEnd) {
  exchange->ended = false;
  exchange->failure = "10.0.0.1:2379: closed by the server";
  EXPECT_EQ(read_all(), Texts{"10.0.0.1:2379: closed by the server"});
}

}  // namespace
}  // namespace flannel
