// HTTP/2 as a client, without the I/O: bytes of a connection in and out, exchanges between.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/signal.h"

struct nghttp2_session;

namespace flannel {

struct Header {
  std::string name;  // lower case
  std::string value;
  bool operator==(const Header&) const = default;
};
using Headers = std::vector<Header>;

// The first value of a header; empty where there is none.
std::string_view find_header(const Headers& headers, std::string_view name);

struct Http2Request {
  std::string method = "GET";
  std::string path;  // with the query
  Headers headers;
  std::string body;
  bool end = true;  // false: more of the body follows (Http2Stream::write)
};

// What a filter says of the bytes of an answer that nobody has read yet.
struct PassedOver {
  std::size_t bytes = 0;       // at their front, which are dealt with
  bool is_incomplete = false;  // what is behind those begins something that can be dealt with
};
using PassOver = std::function<PassedOver(std::string_view)>;

// One request and its answer, as far as they have got. `changed` is notified at each step.
struct Http2Exchange {
  std::int32_t id = 0;

  std::string outgoing;  // not yet framed
  bool outgoing_ended = false;

  Headers headers;  // `:status` among them
  bool headers_complete = false;
  std::string incoming;  // received and not yet taken; bounded by the stream's window
  // Is shown what is in `incoming`, by whom it is read off the connection. Nobody is notified of
  // what is dealt with, nor, up to a limit, of what is incomplete. Must not throw.
  PassOver pass_over;
  Headers trailers;
  std::size_t header_bytes = 0;

  bool ended = false;            // the answer is complete, trailers included
  bool closed = false;           // nothing more arrives, complete or not
  std::uint32_t error_code = 0;  // HTTP/2's, when closed by a reset
  bool never_sent = false;       // closed before the request left
  std::string failure;           // when closed because the connection went
  bool abandoned = false;        // nobody reads it any more

  Signal changed;
};

class Http2Session {
 public:
  // For :scheme and :authority of every request.
  Http2Session(std::string scheme, std::string authority);
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;
  ~Http2Session();

  // Bytes from the server. Also throws where too many of them carried nothing since the last
  // new_second(): empty or padded frames, frames of unknown types and the like cost time, and an
  // honest server has no use for many.
  void receive(std::string_view bytes);
  void new_second() { noise_ = 0; }
  // The next bytes for the server, up to about 64 kB; empty when there are none now. Both throw
  // std::runtime_error when what came from the server was not HTTP/2.
  std::string output();
  bool wants_output() const;

  std::shared_ptr<Http2Exchange> open(Http2Request request);
  // After a change of `outgoing` or `outgoing_ended`.
  void resume(const Http2Exchange& exchange);
  // Opens the stream's window again by what was taken from `incoming`.
  void consume(const Http2Exchange& exchange, std::size_t count);
  // The answer is not wanted any more.
  void abandon(Http2Exchange& exchange);
  void ping();
  // Ends every exchange with this reason.
  void fail(const std::string& reason);

  // The server wants no more requests on this connection (GOAWAY).
  bool draining() const { return draining_; }
  // Neither side has anything left to say.
  bool finished() const;
  std::size_t open_exchanges() const { return exchanges_.size(); }

 private:
  struct Callbacks;  // what nghttp2 calls

  void close_exchange(std::int32_t id, std::uint32_t error_code);

  std::string scheme_;
  std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::shared_ptr<Http2Exchange>> exchanges_;
  bool draining_ = false;
  std::string complaint_;    // why we end the connection
  std::size_t noise_ = 0;    // bytes that carried nothing for an exchange
  std::size_t content_ = 0;  // bytes that did, of those being received
  std::size_t late_ = 0;     // bytes that may still come for exchanges that were abandoned
};

}  // namespace flannel
