#include "test/support/fake_etcd.h"

#include <fmt/core.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>

namespace flannel {

using asio::ip::tcp;

// One client's connection: nghttp2 as the server, and whatever bytes a Reply wants.
class FakeEtcd::Connection {
 public:
  Connection(tcp::socket socket, Answer answer, std::shared_ptr<unsigned> calls)
      : socket_(std::move(socket)), answer_(std::move(answer)), calls_(std::move(calls)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    nghttp2_session_server_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, nullptr, 0);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { nghttp2_session_del(session_); }

  static Task<void> run(std::shared_ptr<Connection> self) {
    std::string buffer(16 << 10, '\0');
    while (self->socket_.is_open()) {
      const std::string bytes = self->output();
      if (!bytes.empty()) {
        co_await asio::async_write(self->socket_, asio::buffer(bytes), asio::use_awaitable);
      }
      if (self->hang_up_) {
        self->socket_.close();
        co_return;
      }
      const std::size_t count =
          co_await self->socket_.async_read_some(asio::buffer(buffer), asio::use_awaitable);
      const auto* const data = reinterpret_cast<const std::uint8_t*>(buffer.data());
      if (nghttp2_session_mem_recv(self->session_, data, count) < 0) {
        co_return;
      }
    }
  }

 private:
  struct Call {
    std::string path, message;
    Reply reply;
  };

  std::string output() {
    std::string bytes;
    const std::uint8_t* part = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &part)) > 0;) {
      bytes.append(reinterpret_cast<const char*>(part), static_cast<std::size_t>(size));
    }
    return bytes + std::exchange(raw_, {});
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t, void* self) {
    if (std::string_view(reinterpret_cast<const char*>(name), name_size) == ":path") {
      static_cast<Connection*>(self)->calls_under_way_[frame->hd.stream_id].path.assign(
          reinterpret_cast<const char*>(value), value_size);
    }
    return 0;
  }

  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                     std::size_t size, void* self) {
    static_cast<Connection*>(self)->receive(id, {reinterpret_cast<const char*>(bytes), size});
    return 0;
  }

  // Calls here are short: the first frame is the message.
  void receive(std::int32_t id, std::string_view frame) {
    Call& call = calls_under_way_[id];
    if (!call.message.empty() || frame.size() < 5) {
      return;
    }
    call.message = frame.substr(5);
    ++*calls_;
    call.reply = answer_(call.path, call.message);
    respond(id, call);
  }

  void respond(std::int32_t id, Call& call) {
    Reply& reply = call.reply;
    if (reply.never) {
      return;
    }
    const std::vector<nghttp2_nv> lines = to_lines(reply.headers);
    if (reply.body.empty() && reply.trailers) {
      nghttp2_submit_headers(session_, 0, id, nullptr, lines.data(), lines.size(), nullptr);
      const std::vector<nghttp2_nv> last = to_lines(*reply.trailers);
      nghttp2_submit_trailer(session_, id, last.data(), last.size());
    } else if (!lines.empty()) {
      nghttp2_data_provider provider{.source = {.ptr = &call}, .read_callback = read_body};
      nghttp2_submit_response(session_, id, lines.data(), lines.size(), &provider);
    }
    if (reply.reset != 0) {
      nghttp2_submit_rst_stream(session_, 0, id, reply.reset);
    }
    if (reply.go_away) {
      nghttp2_submit_goaway(session_, 0, id, NGHTTP2_NO_ERROR, nullptr, 0);
    }
    raw_ += reply.raw;
    hang_up_ = hang_up_ || reply.hang_up;
  }

  static std::vector<nghttp2_nv> to_lines(const Headers& headers) {
    std::vector<nghttp2_nv> lines;
    for (const Header& header : headers) {
      lines.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.name.data())),
                       reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.value.data())),
                       header.name.size(), header.value.size(), 0});
    }
    return lines;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                           void*) {
    Reply& reply = static_cast<Call*>(source->ptr)->reply;
    const std::size_t count = std::min(size, reply.body.size());
    reply.body.copy(reinterpret_cast<char*>(buffer), count);
    reply.body.erase(0, count);
    if (reply.body.empty() && reply.trailers) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::vector<nghttp2_nv> lines = to_lines(*reply.trailers);
      nghttp2_submit_trailer(session, id, lines.data(), lines.size());
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }

  tcp::socket socket_;
  Answer answer_;
  std::shared_ptr<unsigned> calls_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Call> calls_under_way_;
  std::string raw_;
  bool hang_up_ = false;
};

FakeEtcd::FakeEtcd(asio::io_context& loop, Answer answer)
    : acceptor_(std::make_shared<tcp::acceptor>(
          loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0))) {
  asio::co_spawn(loop, serve(acceptor_, std::move(answer), calls_), asio::detached);
}

FakeEtcd::~FakeEtcd() {
  acceptor_->close();
}

std::string FakeEtcd::url() const {
  return fmt::format("http://127.0.0.1:{}", acceptor_->local_endpoint().port());
}

Task<void> FakeEtcd::serve(std::shared_ptr<tcp::acceptor> acceptor, Answer answer,
                           std::shared_ptr<unsigned> calls) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (;;) {
    tcp::socket socket = co_await acceptor->async_accept(asio::use_awaitable);
    const auto connection = std::make_shared<Connection>(std::move(socket), answer, calls);
    asio::co_spawn(executor, Connection::run(connection), asio::detached);
  }
}

}  // namespace flannel
