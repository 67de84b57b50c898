#include "test/support/certificates.h"

#include <vector>

#include "ctl/process.h"

namespace flannel {
namespace {

// A new key, and with `more` what is to be made of it.
void request(const std::string& stem, const std::string& subject, std::vector<std::string> more) {
  std::vector<std::string> words = {
      "openssl",     "req",     "-subj", subject,    "-keyout",
      stem + ".key", "-newkey", "ec",    "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes"};
  words.insert(words.end(), more.begin(), more.end());
  run_program(words);
}

}  // namespace

void make_authority(const std::string& directory, const std::string& name) {
  const std::string stem = directory + "/" + name;
  request(stem, "/CN=" + name, {"-x509", "-days", "2", "-out", stem + ".crt"});
}

void make_certificate(const std::string& directory, const std::string& authority,
                      const std::string& name, const std::string& subject) {
  const std::string stem = directory + "/" + name;
  const std::string signer = directory + "/" + authority;
  request(stem, subject,
          {"-out", stem + ".csr", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
           "extendedKeyUsage=serverAuth,clientAuth"});
  run_program({"openssl", "x509", "-req", "-in", stem + ".csr", "-CA", signer + ".crt", "-CAkey",
               signer + ".key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out",
               stem + ".crt"});
}

}  // namespace flannel
