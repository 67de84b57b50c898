// One live HTTP/2 connection: reads, writes and notices when the other end is gone.
#pragma once

#include <memory>
#include <string>

#include "rpc/http2_session.h"
#include "rpc/http2_stream.h"
#include "rpc/transport.h"

namespace flannel {

// While streams are open and nothing arrives for `ping_after`, a PING asks whether the server is
// still there; no answer within `pong_within` is the end of the connection, so a silent peer is
// noticed within 9 s. etcd refuses clients that ping more often than every 5 s.
struct Keepalive {
  std::chrono::milliseconds ping_after{5000};
  std::chrono::milliseconds pong_within{4000};
};

class Http2Connection : public std::enable_shared_from_this<Http2Connection> {
 public:
  // Over a connected transport. Runs until it breaks, is closed, or the server is done with it.
  static std::shared_ptr<Http2Connection> start(asio::any_io_executor executor,
                                                std::shared_ptr<Transport> transport,
                                                std::string scheme, std::string authority,
                                                Keepalive keepalive = {});

  // Takes new requests: neither broken nor asked to go away.
  bool usable() const { return open_ && !retired_ && !session_.draining(); }
  // Throws ConnectionError when not usable().
  Http2Stream request(Http2Request request);
  // No new requests; closes when the last one is answered.
  void retire();
  // Ends everything where our address is not the host's any more.
  void host_changed();
  // Ends everything with this reason.
  void close(const std::string& reason);

 private:
  friend class Http2Stream;

  Http2Connection(std::shared_ptr<Transport> transport, std::string scheme, std::string authority,
                  Keepalive keepalive);

  static Task<void> run_reader(std::shared_ptr<Http2Connection> self);
  static Task<void> run_writer(std::shared_ptr<Http2Connection> self);
  static Task<void> run_keepalive(std::shared_ptr<Http2Connection> self);
  void wake_writer();
  void close_if_done();

  std::shared_ptr<Transport> transport_;
  std::string authority_;
  Keepalive keepalive_;
  Http2Session session_;
  Signal write_wanted_;
  Signal keepalive_wanted_;  // a first stream, an answer to a PING, or the connection closed
  Deadline quiet_since_;     // nothing has arrived since then, with streams open
  Deadline second_began_;    // that the session's noise is counted in
  bool pinged_ = false;      // and nothing has arrived since
  bool open_ = true;
  bool retired_ = false;
};

}  // namespace flannel
