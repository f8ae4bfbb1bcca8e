// Certificates for tests of TLS, made by the program openssl.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "support/temp_folder.h"

namespace lts::testing {

// A CA "ca", a second one "other-ca", and certificates of the first: "server" for 127.0.0.1 and
// localhost, "elsewhere" for another name, "client".
class Certificates {
 public:
  Certificates() {
    Authority("ca");
    Authority("other-ca");
    Issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
    Issue("elsewhere", "subjectAltName=DNS:elsewhere.example");
    Issue("client", "extendedKeyUsage=clientAuth");
  }
  std::string Cert(const std::string& name) const { return folder_.Below(name + ".pem"); }
  std::string PrivateKey(const std::string& name) const { return folder_.Below(name + ".key"); }

 private:
  void Run(const std::string& command) const {
    const std::string all = "cd '" + folder_.path() + "' && " + command + " >>log 2>&1";
    ASSERT_EQ(std::system(all.c_str()), 0) << command;
  }
  void Authority(const std::string& name) const {
    Run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + name + " -keyout " + name +
        ".key -out " + name + ".pem");
  }
  void Issue(const std::string& name, const std::string& extension) const {
    folder_.Write(name + ".ext", extension + "\n");
    Run("openssl req -newkey rsa:2048 -nodes -subj /CN=" + name + " -keyout " + name +
        ".key -out " + name + ".csr");
    Run("openssl x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -in " + name +
        ".csr -extfile " + name + ".ext -out " + name + ".pem");
  }
  const TempFolder folder_;
};

}  // namespace lts::testing
