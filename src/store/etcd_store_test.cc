#include "store/etcd_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "rpc/certificate_fixture.h"
#include "rpc/http2_client_fixture.h"
#include "store/store_file_fixture.h"

namespace flannel {
namespace {

class EtcdStoreTest : public LoopTest {};

TEST_F(EtcdStoreTest, APasswordGoesOverTlsAloneWhereOneEndpointHasIt) {
  Listener plain(loop, kSettings);
  Listener other(loop, kSettings);
  const std::string open = "http://" + plain.endpoint().authority();
  EtcdOptions options;
  options.endpoints = open + ",https://" + other.endpoint().authority();
  options.username = "flannel";
  options.password = "secret";
  testing::internal::CaptureStderr();
  const Result<std::unique_ptr<LeaseStore>> store = make_etcd_store(loop.get_executor(), options);
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(store) << store.error().text;
  EXPECT_NE(log.find(open + ": not used, since the password goes over TLS alone"),
            std::string::npos)
      << log;
  EXPECT_EQ(log.find("secret"), std::string::npos);
  error_of((*store)->config());
  EXPECT_EQ(plain.connections(), 0);
  EXPECT_GE(other.connections(), 1);
}

TEST_F(EtcdStoreTest, ACaAloneMeansTls) {
  const TestDirectory directory;
  const std::string ca = directory.file("ca.pem");
  std::ofstream(ca) << to_pem(make_authority("root").certificate);
  Listener plain(loop, kSettings);
  EtcdOptions options;
  options.endpoints = plain.endpoint().authority();
  options.cafile = ca;
  const Result<std::unique_ptr<LeaseStore>> store = make_etcd_store(loop.get_executor(), options);
  ASSERT_TRUE(store) << store.error().text;
  EXPECT_NE(error_of((*store)->config()).find("TLS with " + plain.endpoint().authority()),
            std::string::npos);
}

}  // namespace
}  // namespace flannel
