#include "test/support/fake_http2_server.h"

#include <fmt/core.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "base/signal.h"

namespace flannel {

using asio::ip::tcp;

struct FakeHttp2Server::State {
  tcp::acceptor acceptor;
  Answer answer;
  unsigned requests = 0;
  unsigned connections = 0;
  std::vector<std::weak_ptr<Connection>> all = {};
};

// One client's connection: nghttp2 as the server, and whatever bytes a Reply wants.
class FakeHttp2Server::Connection {
 public:
  Connection(tcp::socket socket, std::shared_ptr<State> state)
      : socket_(std::move(socket)), state_(std::move(state)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
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

  static Task<void> run_reader(std::shared_ptr<Connection> self) {
    std::string buffer(16 << 10, '\0');
    boost::system::error_code error;
    while (!error) {
      const std::size_t count = co_await self->socket_.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      const auto* const data = reinterpret_cast<const std::uint8_t*>(buffer.data());
      if (nghttp2_session_mem_recv(self->session_, data, count) < 0) {
        break;
      }
      self->wanted_.notify();
    }
    self->hang_up_ = true;
    self->wanted_.notify();
  }

  static Task<void> run_writer(std::shared_ptr<Connection> self) {
    boost::system::error_code error;
    while (!error) {
      const std::string bytes = self->output();
      if (!bytes.empty()) {
        co_await asio::async_write(self->socket_, asio::buffer(bytes),
                                   asio::redirect_error(asio::use_awaitable, error));
      } else if (self->hang_up_) {
        break;
      } else {
        co_await self->wanted_.wait();
      }
    }
    self->socket_.close(error);
  }

  void send(std::string_view bytes, bool end) {
    for (auto& [id, call] : calls_) {
      if (call.answered && !call.reply.end) {
        call.reply.body += bytes;
        call.reply.end = end;
        nghttp2_session_resume_data(session_, id);
      }
    }
    wanted_.notify();
  }

 private:
  struct Call {
    Request request;
    Reply reply;
    bool answered = false;
    std::size_t sent = 0;  // of the reply's body
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
    static_cast<Connection*>(self)->calls_[frame->hd.stream_id].request.headers.push_back(
        {.name = {reinterpret_cast<const char*>(name), name_size},
         .value = {reinterpret_cast<const char*>(value), value_size}});
    return 0;
  }

  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                     std::size_t size, void* self) {
    Connection& connection = *static_cast<Connection*>(self);
    connection.calls_[id].request.body.assign(reinterpret_cast<const char*>(bytes), size);
    connection.answer(id);
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    const bool of_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (of_request && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      static_cast<Connection*>(self)->answer(frame->hd.stream_id);
    }
    return 0;
  }

  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* self) {
    static_cast<Connection*>(self)->calls_.erase(id);
    return 0;
  }

  void answer(std::int32_t id) {
    Call& call = calls_[id];
    if (!std::exchange(call.answered, true)) {
      ++state_->requests;
      call.reply = state_->answer(call.request);
      respond(id, call);
    }
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
    Call& call = *static_cast<Call*>(source->ptr);
    Reply& reply = call.reply;
    const std::size_t count = reply.body.copy(reinterpret_cast<char*>(buffer), size, call.sent);
    call.sent += count;
    if (call.sent == reply.body.size()) {
      reply.body.clear();
      call.sent = 0;
    }
    if (reply.body.empty() && reply.trailers) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::vector<nghttp2_nv> lines = to_lines(*reply.trailers);
      nghttp2_submit_trailer(session, id, lines.data(), lines.size());
    } else if (reply.body.empty() && reply.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }

  tcp::socket socket_;
  std::shared_ptr<State> state_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Call> calls_;
  Signal wanted_;  // bytes to write, or the end
  std::string raw_;
  bool hang_up_ = false;
};

FakeHttp2Server::FakeHttp2Server(asio::io_context& loop, Answer answer)
    : state_(std::make_shared<State>(
          State{.acceptor = {loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)},
                .answer = std::move(answer)})) {
  asio::co_spawn(loop, serve(state_), asio::detached);
}

FakeHttp2Server::~FakeHttp2Server() {
  state_->acceptor.close();
}

std::string FakeHttp2Server::url() const {
  return fmt::format("http://127.0.0.1:{}", state_->acceptor.local_endpoint().port());
}

unsigned FakeHttp2Server::requests() const {
  return state_->requests;
}

unsigned FakeHttp2Server::connections() const {
  return state_->connections;
}

void FakeHttp2Server::send(std::string_view bytes, bool end) {
  for (const std::weak_ptr<Connection>& connection : state_->all) {
    if (const auto open = connection.lock()) {
      open->send(bytes, end);
    }
  }
}

Task<void> FakeHttp2Server::serve(std::shared_ptr<State> state) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (;;) {
    tcp::socket socket = co_await state->acceptor.async_accept(asio::use_awaitable);
    const auto connection = std::make_shared<Connection>(std::move(socket), state);
    ++state->connections;
    state->all.push_back(connection);
    asio::co_spawn(executor, Connection::run_reader(connection), asio::detached);
    asio::co_spawn(executor, Connection::run_writer(connection), asio::detached);
  }
}

}  // namespace flannel
