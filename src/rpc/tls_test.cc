#include "rpc/tls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pty.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <csignal>
#include <list>

#include "base/file.h"
#include "rpc/certificate_fixture.h"
#include "rpc/http2_client_fixture.h"

namespace flannel {
namespace {

using boost::system::error_code;

// A server with TLS, for one client: it says kSettings and reads until something ends that.
class TlsServer {
 public:
  struct Settings {
    const char* ciphers = nullptr;  // of TLS 1.2, and that alone
    bool renegotiates = false;      // once the client has connected; TLS 1.2
  };

  TlsServer(asio::io_context& loop, const TestKey& key, const TestCertificate& certificate,
            Settings settings)
      : settings_(settings),
        acceptor_(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        context_(asio::ssl::context::tls_server) {
    SSL_CTX* const native = context_.native_handle();
    SSL_CTX_use_certificate(native, certificate.get());
    SSL_CTX_use_PrivateKey(native, key.get());
    SSL_CTX_set_alpn_select_cb(
        native,
        [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned,
           void*) {
          *out = reinterpret_cast<const unsigned char*>("h2");
          *size = 2;
          return SSL_TLSEXT_ERR_OK;
        },
        nullptr);
    if (settings.ciphers != nullptr) {
      SSL_CTX_set_max_proto_version(native, TLS1_2_VERSION);
      SSL_CTX_set_cipher_list(native, settings.ciphers);
    }
    asio::co_spawn(loop, serve(), asio::detached);
  }

  Endpoint endpoint(bool tls = true) const {
    Endpoint out{.host = "127.0.0.1", .port = acceptor_.local_endpoint().port()};
    out.tls = tls;
    return out;
  }
  // What ended the handshake or the reading; empty before that.
  const std::string& end() const { return end_; }

 private:
  Task<void> serve() {
    tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::ssl::stream<tcp::socket&> stream(socket, context_);
    error_code error;
    const auto outcome = [&error] { return asio::redirect_error(asio::use_awaitable, error); };
    co_await stream.async_handshake(asio::ssl::stream_base::server, outcome());
    if (!error && settings_.renegotiates) {
      SSL_renegotiate(stream.native_handle());
      co_await stream.async_handshake(asio::ssl::stream_base::server, outcome());
    }
    if (!error) {
      co_await asio::async_write(stream, asio::buffer(kSettings), outcome());
    }
    std::array<char, 1000> buffer{};
    while (!error) {
      co_await stream.async_read_some(asio::buffer(buffer), outcome());
    }
    end_ = error.message();
  }

  Settings settings_;
  tcp::acceptor acceptor_;
  asio::ssl::context context_;
  std::string end_;
};

class TlsTest : public Http2ClientTest {
 protected:
  TlsSource trusting(const TestCertificate& ca) {
    TlsContext context = *make_tls_context({.ca = {"ca.pem", to_pem(ca)}});
    return [context] { return context; };
  }

  TlsServer& serve(const TestKey& own_key, const TestCertificate& own,
                   TlsServer::Settings settings = {}) {
    return servers_.emplace_back(loop, own_key, own, settings);
  }

  // What a request ends with; a server that takes the connection never answers it.
  std::string ask_server(const TlsServer& server, const TestCertificate& ca, bool tls = true) {
    std::string text = ask_endpoint(server.endpoint(tls), trusting(ca));
    for (int i = 0; i < 100 && server.end().empty() && loop.poll_one() > 0; ++i) {
    }
    return text;
  }

  std::string ask_endpoint(const Endpoint& endpoint, TlsSource tls) {
    Http2Client client(loop.get_executor(), {endpoint}, std::move(tls));
    return outcome(client, std::chrono::milliseconds(500));
  }

  TestAuthority root = make_authority("root");
  TestKey key = make_ec_key();
  TestCertificate certificate = make_certificate("server", key, false, &root);

 private:
  std::list<TlsServer> servers_;
};

constexpr std::string_view kTaken = "no answer in time";

TEST_F(TlsTest, ConnectsByWhatHttp2Allows) {
  for (const char* ciphers :
       std::initializer_list<const char*>{nullptr, "ECDHE+AESGCM", "ECDHE+CHACHA20"}) {
    const TlsServer& server = serve(key, certificate, {.ciphers = ciphers});
    EXPECT_TRUE(ask_server(server, root.certificate).ends_with(kTaken));
  }
}

TEST_F(TlsTest, RefusesCiphersThatHttp2Forbids) {
  const TestKey rsa(EVP_RSA_gen(2048));
  const TestCertificate of_rsa = make_certificate("server", rsa, false, &root);
  for (const char* ciphers : {"ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"}) {
    const TlsServer& server = serve(rsa, of_rsa, {.ciphers = ciphers});
    EXPECT_TRUE(ask_server(server, root.certificate)
                    .starts_with("TLS with " + server.endpoint().authority()))
        << ciphers;
    EXPECT_TRUE(server.end().starts_with("no shared cipher")) << server.end();
  }
}

TEST_F(TlsTest, RefusesToRenegotiate) {
  const TlsServer& server =
      serve(key, certificate, {.ciphers = "ECDHE+AESGCM", .renegotiates = true});
  ask_server(server, root.certificate);
  EXPECT_TRUE(server.end().starts_with("no renegotiation")) << server.end();
}

TEST_F(TlsTest, TrustsAnIntermediateThatIsTheCa) {
  const TestAuthority intermediate = make_authority("intermediate", &root);
  const TestCertificate below = make_certificate("server", key, false, &intermediate);
  const TlsServer& server = serve(key, below);
  EXPECT_TRUE(ask_server(server, intermediate.certificate).ends_with(kTaken));
}

TEST_F(TlsTest, RefusesWhoseCaIsAnother) {
  const TlsServer& server = serve(key, certificate);
  EXPECT_NE(ask_server(server, make_authority("other").certificate).find("not accepted"),
            std::string::npos);
}

TEST_F(TlsTest, ACertificateMayBeForAnotherNameThanTheHost) {
  const TestCertificate named = make_certificate("server", key, false, &root, "DNS:kube.test");
  for (const auto& [name, taken] :
       {std::pair("kube.test", true), {"other.test", false}, {"", false}}) {
    const TlsServer& server = serve(key, named);
    Endpoint endpoint = server.endpoint();
    endpoint.certificate_name = name;
    const std::string text = ask_endpoint(endpoint, trusting(root.certificate));
    EXPECT_EQ(text.ends_with(kTaken), taken) << text;
    EXPECT_EQ(text.contains("not accepted"), !taken) << text;
  }
}

TEST_F(TlsTest, AnyCertificateIsTakenWhereNoneIsVerified) {
  const TlsServer& server = serve(key, certificate);
  const TlsContext context = *make_tls_context({.ca = {}, .verify = false});
  Endpoint endpoint = server.endpoint();
  endpoint.certificate_name = "other.test";
  EXPECT_TRUE(ask_endpoint(endpoint, [context] { return context; }).ends_with(kTaken));
}

TEST_F(TlsTest, SaysThatTheServerSpeaksTls) {
  const TlsServer& mute = serve(key, certificate);  // OpenSSL only hangs up
  EXPECT_TRUE(ask_server(mute, root.certificate, false)
                  .ends_with("without a word (is it one with TLS? Those are written https://)"));
  Listener alert(loop, std::string("\x15\x03\x01\0\2\2\x46", 7), true);  // as Go does
  Http2Client client(loop.get_executor(), {alert.endpoint()}, nullptr);
  EXPECT_EQ(outcome(client), alert.endpoint().authority() +
                                 ": the server speaks TLS; its endpoint is written https://");
}

TEST_F(TlsTest, SaysThatTheServerDoesNot) {
  Listener plain(loop, kSettings);
  Endpoint endpoint = plain.endpoint();
  endpoint.tls = true;
  Http2Client client(loop.get_executor(), {endpoint}, trusting(root.certificate));
  EXPECT_TRUE(outcome(client).ends_with("(is it a server without TLS? Those are written http://)"));
}

TEST_F(TlsTest, ACertificateNeedsItsKeyAndAKeyItsCertificate) {
  const Pem own{"own.pem", to_pem(certificate)};
  const Pem own_key{"own-key.pem", to_pem(key)};
  EXPECT_TRUE(make_tls_context({.ca = {}, .certificate = own, .key = own_key}));
  EXPECT_EQ(make_tls_context({.ca = {}, .certificate = own, .key = {}}).error().text,
            "own.pem: a certificate without its key");
  EXPECT_EQ(make_tls_context({.ca = {}, .certificate = {}, .key = own_key}).error().text,
            "own-key.pem: a key without its certificate");
  const Pem same_kind{"another.pem", to_pem(make_ec_key())};
  EXPECT_TRUE(make_tls_context({.ca = {}, .certificate = own, .key = same_kind})
                  .error()
                  .text.starts_with("another.pem: key values mismatch"));
  const Pem rsa{"rsa.pem", to_pem(TestKey(EVP_RSA_gen(2048)))};
  EXPECT_EQ(make_tls_context({.ca = {}, .certificate = own, .key = rsa}).error().text,
            "rsa.pem: not the key of the certificate in own.pem");
}

// Whether a process with a terminal, or one without, says why it does not take the key. OpenSSL
// asks on the terminal, which nobody answers here.
bool refuses_in_process(const TlsIdentity& identity, bool has_terminal) {
  int terminal = -1;
  const pid_t child = has_terminal ? ::forkpty(&terminal, nullptr, nullptr, nullptr) : ::fork();
  if (child == 0) {
    if (!has_terminal) {
      ::setsid();
      ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    }
    const Result<TlsContext> made = make_tls_context(identity);
    ::_exit(!made && made.error().text.contains("protected by a password") ? 0 : 1);
  }
  const UniqueFd master(terminal);
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ends{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ends, 1, 10'000) != 1) {
    ::kill(child, SIGKILL);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST_F(TlsTest, AKeyWithAPasswordIsRefusedAndNobodyAsked) {
  const TlsIdentity identity{.ca = {},
                             .certificate = {"own.pem", to_pem(certificate)},
                             .key = {"own-key.pem", to_pem(key, "secret")}};
  EXPECT_TRUE(refuses_in_process(identity, false));
  EXPECT_TRUE(refuses_in_process(identity, true));
}

}  // namespace
}  // namespace flannel
