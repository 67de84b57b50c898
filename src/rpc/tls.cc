#include "rpc/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>

#include "base/file.h"
#include "base/first_error.h"
#include "base/log.h"

namespace flannel {
namespace {

using boost::system::error_code;

// Where distributions keep their roots, for an OpenSSL that was built for another one.
constexpr const char* kSystemRoots[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

void trust_system_roots(asio::ssl::context& context) {
  error_code ignored;  // none at all shows as a failed verification, by name
  context.set_default_verify_paths(ignored);
  for (const char* path : kSystemRoots) {
    if (::access(path, R_OK) == 0) {
      context.load_verify_file(path, ignored);
      return;
    }
  }
}

std::unexpected<Error> refused(const Pem& pem, const error_code& error) {
  return fail("{}: {}", pem.name, error.message());
}

Result<void> set_identity(asio::ssl::context& context, const TlsIdentity& identity) {
  error_code error;
  // Without this, OpenSSL asks on the terminal and waits.
  const auto asked = std::make_shared<bool>(false);
  context.set_password_callback(
      [asked](std::size_t, asio::ssl::context::password_purpose) {
        *asked = true;
        return std::string();
      },
      error);
  context.use_certificate_chain(asio::buffer(identity.certificate.text), error);
  if (error) {
    return refused(identity.certificate, error);
  }
  context.use_private_key(asio::buffer(identity.key.text), asio::ssl::context::pem, error);
  if (*asked) {
    ERR_clear_error();
    return fail("{}: the key is protected by a password, and nobody is there to be asked for it",
                identity.key.name);
  }
  if (error) {
    return refused(identity.key, error);
  }
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    ERR_clear_error();
    return fail("{}: not the key of the certificate in {}", identity.key.name,
                identity.certificate.name);
  }
  return {};
}

}  // namespace

Result<Pem> read_pem(const std::string& path) {
  if (path.empty()) {
    return Pem{};
  }
  Result<std::string> text = read_file(path);
  if (!text) {
    return std::unexpected(text.error());
  }
  return Pem{.name = path, .text = std::move(*text)};
}

Result<TlsContext> make_tls_context(const TlsIdentity& identity) {
  TlsContext context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // With TLS 1.2 what HTTP/2 allows, RFC 9113, 9.2.1 and Appendix A: ephemeral keys with
  // authenticated encryption, and no renegotiation.
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION);
  // As in Go, what is in the CA file is trusted, an intermediate too.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(native), X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // 34 kB less while the connection is quiet
  static constexpr unsigned char kH2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(native, kH2, sizeof(kH2));
  context->set_verify_mode(identity.verify ? asio::ssl::verify_peer : asio::ssl::verify_none);
  const bool has_ca = !identity.ca.text.empty() || !identity.ca.name.empty();
  if (has_ca) {
    error_code error;
    context->add_certificate_authority(asio::buffer(identity.ca.text), error);
    if (error) {
      return refused(identity.ca, error);
    }
  } else if (identity.verify) {
    trust_system_roots(*context);
  }
  if (identity.certificate.name.empty() != identity.key.name.empty()) {
    return identity.key.name.empty()
               ? fail("{}: a certificate without its key", identity.certificate.name)
               : fail("{}: a key without its certificate", identity.key.name);
  }
  if (!identity.key.name.empty()) {
    const Result<void> set = set_identity(*context, identity);
    if (!set) {
      return std::unexpected(set.error());
    }
  }
  return context;
}

namespace {

Result<TlsIdentity> read_identity(const TlsFiles& files) {
  Result<Pem> ca = read_pem(files.ca);
  Result<Pem> certificate = read_pem(files.certificate);
  Result<Pem> key = read_pem(files.key);
  if (const Error* error = first_error(certificate, key, ca)) {
    return std::unexpected(*error);
  }
  return TlsIdentity{std::move(*ca), std::move(*certificate), std::move(*key)};
}

void warn_of_open_key(const std::string& path) {
  struct stat found{};
  if (!path.empty() && ::stat(path.c_str(), &found) == 0 && (found.st_mode & S_IROTH) != 0) {
    log_warning("{}: everybody on this machine may read this key", path);
  }
}

// What follow_tls_files() knows between two connections.
struct FollowedFiles {
  TlsFiles files;
  TlsIdentity identity;  // of `context`
  TlsContext context;
  std::string trouble;

  Result<void> reread() {
    Result<TlsIdentity> now = read_identity(files);
    if (!now) {
      return std::unexpected(now.error());
    }
    if (context && *now == identity) {
      return {};
    }
    Result<TlsContext> made = make_tls_context(*now);
    if (!made) {
      return std::unexpected(made.error());
    }
    context = std::move(*made);
    identity = std::move(*now);
    warn_of_open_key(files.key);
    return {};
  }

  TlsContext current() {
    const Result<void> result = reread();
    const std::string now = result ? "" : result.error().text;
    if (now != trouble) {
      log_trouble(
          !now.empty(),
          "TLS files: " + (now.empty() ? "well again" : now + "; going on with those from before"));
    }
    trouble = now;
    return context;
  }
};

}  // namespace

Result<TlsSource> follow_tls_files(TlsFiles files) {
  const auto followed = std::make_shared<FollowedFiles>();
  followed->files = std::move(files);
  // The system's roots alone are read with the first connection that needs them: they are hundreds,
  // and most connections are without TLS.
  const bool named = followed->files != TlsFiles{};
  if (const Result<void> result = named ? followed->reread() : Result<void>(); !result) {
    return std::unexpected(result.error());
  }
  return [followed] { return followed->current(); };
}

}  // namespace flannel
