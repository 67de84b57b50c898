// Keys and certificates for tests, made when they are needed.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace flannel {

template <class T, void (*kFree)(T*)>
struct OpensslFree {
  void operator()(T* object) const { kFree(object); }
};
using TestKey = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY, EVP_PKEY_free>>;
using TestCertificate = std::unique_ptr<X509, OpensslFree<X509, X509_free>>;

inline TestKey make_ec_key() {
  return TestKey(EVP_EC_gen("P-256"));
}

// What `write`, one of OpenSSL's PEM_write_bio_…(), writes.
template <class Write>
std::string pem_text(Write write) {
  BIO* const memory = BIO_new(BIO_s_mem());
  if (write(memory) != 1) {
    BIO_free(memory);
    throw std::runtime_error("PEM cannot be written");
  }
  char* bytes = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(memory, &bytes));
  std::string text(bytes, size);
  BIO_free(memory);
  return text;
}

inline std::string to_pem(const TestCertificate& certificate) {
  return pem_text([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); });
}

// With `password`, encrypted.
inline std::string to_pem(const TestKey& key, const char* password = nullptr) {
  return pem_text([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(),
                                         password == nullptr ? nullptr : EVP_aes_128_cbc(), nullptr,
                                         0, nullptr, const_cast<char*>(password));
  });
}

struct TestAuthority {
  TestKey key;
  TestCertificate certificate;
};

// A certificate of `key` for an hour, signed by `issuer`, or by itself where there is none: of a
// CA, or for the server at `server`.
inline TestCertificate make_certificate(const std::string& name, const TestKey& key, bool is_ca,
                                        const TestAuthority* issuer = nullptr,
                                        const char* server = "IP:127.0.0.1") {
  TestCertificate out(X509_new());
  X509* const x = out.get();
  static long serial = 0;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* const signer = issuer == nullptr ? x : issuer->certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(signer));
  X509_set_pubkey(x, key.get());
  const std::pair<int, const char*> extensions[] = {
      {NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE"},
      {NID_subject_alt_name, is_ca ? "DNS:ca.test" : server}};
  for (const auto& [id, value] : extensions) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  if (X509_sign(x, issuer == nullptr ? key.get() : issuer->key.get(), EVP_sha256()) == 0) {
    throw std::runtime_error("a certificate cannot be signed");
  }
  return out;
}

inline TestAuthority make_authority(const std::string& name,
                                    const TestAuthority* issuer = nullptr) {
  TestKey key = make_ec_key();
  TestCertificate certificate = make_certificate(name, key, true, issuer);
  return {std::move(key), std::move(certificate)};
}

}  // namespace flannel
