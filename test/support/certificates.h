// Certificates for servers and clients of tests, made by openssl.
#pragma once

#include <string>

namespace flannel {

// Makes DIRECTORY/NAME.crt and .key: an authority that signs itself.
void make_authority(const std::string& directory, const std::string& name);

// Makes, or replaces, DIRECTORY/NAME.crt and .key, signed by `authority` there: for a server on
// 127.0.0.1, or a client. `subject` as openssl has it, /O=GROUP/CN=USER.
void make_certificate(const std::string& directory, const std::string& authority,
                      const std::string& name, const std::string& subject);

}  // namespace flannel
