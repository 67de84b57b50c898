#include "rpc/http2_session.h"

#include <fmt/core.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace flannel {
namespace {

constexpr std::int32_t kStreamWindow = 1 << 20;
constexpr std::int32_t kConnectionWindow = 4 << 20;
constexpr std::size_t kMostHeaderBytes = 64 << 10;  // of one exchange
// What waits for the rest of it, without a notification. It is within the smallest window that a
// server may know of, which is 64 kB before it has our settings.
constexpr std::size_t kMostHeld = 32 << 10;
// A second's worth; and what a byte of content stands for, so that the headers of small frames do
// not add up: a message of gRPC has five bytes, its frame another nine.
constexpr std::size_t kMostNoise = 256 << 10;
constexpr std::size_t kContentPays = 4;
constexpr std::size_t kOutputAtOnce = 64 << 10;

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

nghttp2_nv name_value(const Header& header) {
  // nghttp2 copies both and does not write to them.
  return {.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.name.data())),
          .value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.value.data())),
          .namelen = header.name.size(),
          .valuelen = header.value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

void check(int status, const char* what) {
  if (status < 0) {
    throw std::runtime_error(fmt::format("HTTP/2 {}: {}", what, nghttp2_strerror(status)));
  }
}

}  // namespace

std::string_view find_header(const Headers& headers, std::string_view name) {
  const auto found = std::ranges::find(headers, name, &Header::name);
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

// Each only notes what happened; coroutines do the work later. noexcept, since C is below them.
struct Http2Session::Callbacks {
  static Http2Exchange* exchange(nghttp2_session* session, std::int32_t id) noexcept {
    return static_cast<Http2Exchange*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                       const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                       std::size_t value_size, std::uint8_t, void* self) noexcept {
    Http2Exchange* const to = exchange(session, frame->hd.stream_id);
    if (to == nullptr || to->abandoned) {
      return 0;
    }
    to->header_bytes += name_size + value_size;
    static_cast<Http2Session*>(self)->content_ += name_size + value_size;
    if (to->header_bytes > kMostHeaderBytes) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets this stream only
    }
    Headers& headers = to->headers_complete ? to->trailers : to->headers;
    headers.push_back({.name = std::string(text_of(name, name_size)),
                       .value = std::string(text_of(value, value_size))});
    return 0;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      static_cast<Http2Session*>(self)->draining_ = true;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
      return 0;
    }
    Http2Exchange* const to = exchange(session, frame->hd.stream_id);
    if (to == nullptr) {
      return 0;
    }
    const bool is_data = frame->hd.type == NGHTTP2_DATA;
    if (!is_data && find_header(to->headers, ":status").starts_with('1')) {
      to->headers.clear();  // the real ones follow
    } else {
      to->headers_complete = true;
    }
    to->ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!is_data || to->ended) {  // of its bytes on_data() has told
      to->changed.notify();
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id,
                     const std::uint8_t* bytes, std::size_t size, void* self) noexcept {
    static_cast<Http2Session*>(self)->content_ += size;
    // The connection's window is given back at once, so that a slow reader stalls only itself.
    nghttp2_session_consume_connection(session, size);
    Http2Exchange* const to = exchange(session, id);
    if (to == nullptr || to->abandoned) {
      nghttp2_session_consume_stream(session, id, size);
      return 0;
    }
    to->incoming.append(text_of(bytes, size));
    const PassedOver passed = to->pass_over ? to->pass_over(to->incoming) : PassedOver();
    nghttp2_session_consume_stream(session, id, passed.bytes);
    to->incoming.erase(0, passed.bytes);
    const bool is_held = passed.is_incomplete && to->incoming.size() <= kMostHeld;
    if (!to->incoming.empty() && !is_held) {
      to->changed.notify();
    }
    return 0;
  }

  static int on_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* self) noexcept {
    const auto& exchanges = static_cast<Http2Session*>(self)->exchanges_;
    const auto found = exchanges.find(frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && found != exchanges.end()) {
      found->second->never_sent = true;  // the server went away first; on_close follows
    }
    return 0;
  }

  // We never send GOAWAY: it is nghttp2 that found the server's bytes wrong.
  static int on_sent(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      Http2Session& owner = *static_cast<Http2Session*>(self);
      owner.complaint_ = owner.authority_ + ": not HTTP/2 from the server: ";
      owner.complaint_ += nghttp2_http2_strerror(frame->goaway.error_code);
    }
    return 0;
  }

  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* self) noexcept {
    static_cast<Http2Session*>(self)->close_exchange(id, code);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                           void*) noexcept {
    Http2Exchange* const from = exchange(session, id);
    const std::size_t count = from == nullptr ? 0 : std::min(size, from->outgoing.size());
    if (from != nullptr && count > 0) {
      from->outgoing.copy(reinterpret_cast<char*>(buffer), count);
      from->outgoing.erase(0, count);
    }
    if (from == nullptr || (from->outgoing.empty() && from->outgoing_ended)) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }
};

Http2Session::Http2Session(std::string scheme, std::string authority)
    : scheme_(std::move(scheme)), authority_(std::move(authority)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  check(nghttp2_session_callbacks_new(&callbacks), "start");
  check(nghttp2_option_new(&option), "start");
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, Callbacks::on_not_sent);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_close);
  nghttp2_option_set_no_auto_window_update(option, 1);
  const int made = nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  check(made, "start");
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMostHeaderBytes}};
  check(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)),
        "settings");
  check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow),
        "window");
}

Http2Session::~Http2Session() {
  nghttp2_session_del(session_);
}

void Http2Session::receive(std::string_view bytes) {
  const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const ssize_t taken = nghttp2_session_mem_recv(session_, data, bytes.size());
  check(static_cast<int>(std::min<ssize_t>(taken, 0)), "from the server");
  noise_ += bytes.size();
  noise_ -= std::min(noise_, std::exchange(content_, 0) * kContentPays);
  if (noise_ > kMostNoise) {
    const std::size_t late = std::min(noise_, late_);
    noise_ -= late;
    late_ -= late;
  }
  if (noise_ > kMostNoise) {
    throw std::runtime_error(authority_ + ": the server sends frames that carry nothing, no end");
  }
}

std::string Http2Session::output() {
  std::string out;
  while (out.size() < kOutputAtOnce) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    check(static_cast<int>(std::min<ssize_t>(size, 0)), "to the server");
    if (size == 0) {
      break;
    }
    out.append(text_of(bytes, static_cast<std::size_t>(size)));
  }
  if (!complaint_.empty()) {
    throw std::runtime_error(complaint_);
  }
  return out;
}

bool Http2Session::wants_output() const {
  return nghttp2_session_want_write(session_) != 0;
}

std::shared_ptr<Http2Exchange> Http2Session::open(Http2Request request) {
  const std::shared_ptr<Http2Exchange> exchange = std::make_shared<Http2Exchange>();
  exchange->outgoing = std::move(request.body);
  exchange->outgoing_ended = request.end;
  Headers headers = {{":method", std::move(request.method)},
                     {":scheme", scheme_},
                     {":authority", authority_},
                     {":path", std::move(request.path)}};
  headers.insert(headers.end(), request.headers.begin(), request.headers.end());
  std::vector<nghttp2_nv> lines;
  lines.reserve(headers.size());
  for (const Header& header : headers) {
    lines.push_back(name_value(header));
  }
  const bool has_body = !exchange->outgoing.empty() || !exchange->outgoing_ended;
  const nghttp2_data_provider body{.source = {}, .read_callback = Callbacks::read_body};
  exchange->id = nghttp2_submit_request(session_, nullptr, lines.data(), lines.size(),
                                        has_body ? &body : nullptr, exchange.get());
  check(exchange->id, "request");
  exchanges_.emplace(exchange->id, exchange);
  return exchange;
}

void Http2Session::resume(const Http2Exchange& exchange) {
  if (!exchange.closed) {
    nghttp2_session_resume_data(session_, exchange.id);
  }
}

void Http2Session::consume(const Http2Exchange& exchange, std::size_t count) {
  if (!exchange.closed) {
    nghttp2_session_consume_stream(session_, exchange.id, count);
  }
}

void Http2Session::abandon(Http2Exchange& exchange) {
  if (exchange.closed || exchange.abandoned) {
    return;
  }
  exchange.abandoned = true;
  late_ += kStreamWindow;  // the server has not heard of it yet
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange.id, NGHTTP2_CANCEL);
}

void Http2Session::ping() {
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

void Http2Session::fail(const std::string& reason) {
  for (const auto& [id, exchange] : exchanges_) {
    // nghttp2 keeps a pointer to it, and is asked for nothing from now on.
    nghttp2_session_set_stream_user_data(session_, id, nullptr);
    exchange->failure = reason;
    exchange->closed = true;
    exchange->changed.notify();
  }
  exchanges_.clear();
}

bool Http2Session::finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

void Http2Session::close_exchange(std::int32_t id, std::uint32_t error_code) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) {
    return;
  }
  found->second->error_code = error_code;
  found->second->failure = complaint_;
  found->second->closed = true;
  found->second->changed.notify();
  exchanges_.erase(found);
}

}  // namespace flannel
