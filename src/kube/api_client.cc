#include "kube/api_client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/printable.h"

namespace flannel {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// How often a request is sent again that the server did not look at.
constexpr int kSendAgain = 2;
// How much of an error's body is read, and for how long.
constexpr std::size_t kMostError = 1 << 16;
constexpr seconds kErrorTime{5};
constexpr seconds kLongestWait{30};  // between two requests
// How often credentials are looked at while the server refuses those that we have.
constexpr seconds kBetweenLooks{1};

// RFC 9110, 10.2.3; the other form, a date, is of no use to us. Nothing where there is none.
std::optional<seconds> retry_after(const Headers& headers) {
  const std::string_view text = find_header(headers, "retry-after");
  std::uint32_t count = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || rest != text.data() + text.size()) {
    return std::nullopt;
  }
  return seconds(count);
}

Http2Request to_http2(ApiRequest request, const ApiTarget& target) {
  Http2Request out{.method = std::move(request.method),
                   .path = target.base_path + request.path,
                   .headers = {{"accept", std::move(request.accept)},
                               {"accept-encoding", request.gzip ? "gzip" : "identity"},
                               {"user-agent", "flanneld/" FLANNEL_VERSION}},
                   .body = std::move(request.body)};
  if (!request.content_type.empty()) {
    out.headers.push_back({"content-type", std::move(request.content_type)});
  }
  if (!target.authorization.empty()) {
    out.headers.push_back({"authorization", target.authorization});
  }
  return out;
}

// As much of the body as comes within the limits: a proxy's page may be endless.
Task<std::string> read_error(Http2Stream& stream, Deadline deadline) {
  deadline = std::min(deadline, steady_clock::now() + kErrorTime);
  std::string body;
  try {
    for (bool more = true; more && body.size() < kMostError;) {
      const std::string part = co_await stream.read(deadline);
      body += part;
      more = !part.empty();
    }
  } catch (const std::runtime_error&) {  // the status says enough
  }
  co_return body;
}

}  // namespace

seconds postponement(std::optional<seconds> retry_after, seconds before) {
  const seconds asked = retry_after.value_or(seconds(0));
  const seconds most = asked == seconds(0) ? kLongestWait : std::min(4 * asked, kLongestWait);
  return std::min(std::max({asked, 2 * before, seconds(1)}), most);
}

ApiClient::ApiClient(asio::any_io_executor executor, std::unique_ptr<ApiAccess> access)
    : executor_(std::move(executor)), access_(std::move(access)) {}

// Has one of the three.
struct ApiClient::Attempt {
  std::optional<Http2Stream> stream;  // with the headers of a success
  std::optional<ApiError> error;
  std::string unseen;  // why the server did not look at it
};

Task<ApiClient::Attempt> ApiClient::attempt(ApiRequest request, bool rejected, Deadline deadline) {
  co_await refresh(rejected);
  const std::string what =
      fmt::format("{} {}", request.method, request.path.substr(0, request.path.find('?')));
  try {
    Http2Request sent = to_http2(std::move(request), *target_);
    Http2Stream stream = co_await http2_->request(std::move(sent), deadline);
    co_await stream.response(deadline);
    if (stream.status() / 100 == 2) {
      co_return Attempt{.stream = std::move(stream)};
    }
    const std::string body = co_await read_error(stream, deadline);
    std::optional<seconds> later = retry_after(stream.headers());
    if (!later && stream.status() == 429) {  // as of a proxy that does not say when
      later = seconds(0);
    }
    co_return Attempt{.error = make_api_error(what, stream.status(), body, later)};
  } catch (const StreamReset& reset) {
    if (!reset.refused) {
      throw ConnectionError(reset.what());
    }
    co_return Attempt{.unseen = reset.what()};
  }
}

Task<Http2Stream> ApiClient::open(ApiRequest request, Deadline deadline) {
  bool rejected = false;
  int unseen = 0;
  const Deadline ask_by = std::min<Deadline>(deadline, steady_clock::now() + kMostPostponed);
  for (;;) {
    co_await wait_out(ask_by);
    Attempt now = co_await attempt(request, rejected, deadline);
    if (now.stream) {
      refusal_.reset();
      last_wait_ = seconds(0);
      co_return std::move(*now.stream);
    }
    if (!now.error) {
      if (++unseen > kSendAgain) {
        throw ConnectionError(now.unseen);
      }
      continue;
    }
    const ApiError& error = *now.error;
    if (error.status >= 500) {
      http2_->next_endpoint();
    }
    if (error.status == 401 && !std::exchange(rejected, true)) {
      continue;
    }
    // With 504 a server says that it has not come so far as the version that is asked for
    // (k8s.io/apiserver, NewTooLargeResourceVersionError), which it may never do.
    const bool is_unknown = error.status == 401;
    if (!is_unknown && (!error.retry_after || error.status == 504)) {
      throw error;
    }
    postpone(error);
    if (is_unknown) {  // for people to mend
      throw error;
    }
  }
}

// Waits until something may be asked. Throws the refusal where that is later than `ask_by`.
Task<void> ApiClient::wait_out(Deadline ask_by) {
  for (;;) {
    const bool is_early = co_await is_postponed();
    if (!is_early) {
      co_return;
    }
    if (ask_by < ask_at_) {
      throw ApiError(*refusal_);
    }
    co_await sleep_for(std::min<Deadline::duration>(ask_at_ - steady_clock::now(), kBetweenLooks));
  }
}

Task<bool> ApiClient::is_postponed() {
  if (!refusal_ || steady_clock::now() >= ask_at_) {
    co_return false;
  }
  if (refusal_->status == 401) {
    const Result<ApiTarget> now = co_await access_->target(false);
    if (now && *now != *target_) {
      refusal_.reset();
    }
  }
  co_return refusal_.has_value();
}

// A part of the wait is random, as all nodes may have been refused at once.
void ApiClient::postpone(const ApiError& refusal) {
  last_wait_ = postponement(refusal.retry_after, last_wait_);
  const std::chrono::milliseconds least = last_wait_;
  std::uniform_int_distribution<std::int64_t> jitter(0, least.count());
  ask_at_ = steady_clock::now() + least + std::chrono::milliseconds(jitter(random_));
  if (!refusal_) {
    log_info("{}: {}: asking later", name(), refusal.what());
  }
  refusal_ = refusal;
}

Task<std::string> ApiClient::call(ApiRequest request, Deadline deadline) {
  request.gzip = false;
  const std::string what = request.path;
  Http2Stream stream = co_await open(std::move(request), deadline);
  std::string body;
  try {
    for (;;) {
      const std::string part = co_await stream.read(deadline);
      if (part.empty()) {
        co_return body;
      }
      body += part;
      if (body.size() > kMostApiAnswer) {
        throw ConnectionError(
            fmt::format("{}: an answer of over {} bytes", printable(what), kMostApiAnswer));
      }
    }
  } catch (const StreamReset& reset) {
    throw ConnectionError(reset.what());
  }
}

void ApiClient::host_changed() {
  if (http2_) {
    http2_->host_changed();
  }
}

Task<void> ApiClient::refresh(bool rejected) {
  Result<ApiTarget> now = co_await access_->target(rejected);
  std::string trouble;
  try {
    if (now) {
      take(std::move(*now));
    } else {
      trouble = now.error().text;
    }
  } catch (const ConnectionError& error) {
    trouble = error.what();
  }
  if (!target_) {
    throw ConnectionError(fmt::format("{}: {}", access_->server(), trouble));
  }
  if (trouble != trouble_) {
    log_trouble(!trouble.empty(),
                trouble.empty()
                    ? name() + ": credentials can be read again"
                    : fmt::format("{}: {}; going on with those from before", name(), trouble));
  }
  trouble_ = std::move(trouble);
}

// A connection belongs to one server and one client certificate: it ends where one of these is
// another.
void ApiClient::take(ApiTarget target) {
  const bool first = !target_;
  const bool other_tls = first || target.tls != target_->tls;
  const bool other_server = first || target.endpoint != target_->endpoint;
  if (target.endpoint.tls == true && (other_tls || !tls_)) {
    Result<TlsContext> made = make_tls_context(target.tls);
    if (!made) {
      throw ConnectionError(made.error().text);
    }
    tls_ = std::move(*made);
  }
  target_ = std::move(target);
  if (other_server) {
    refusal_.reset();
    http2_ = std::make_unique<Http2Client>(executor_, std::vector{target_->endpoint},
                                           [this] { return tls_; });
  } else if (other_tls) {
    http2_->next_endpoint();
  }
}

}  // namespace flannel
