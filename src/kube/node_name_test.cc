#include "kube/node_name.h"

#include "kube/api_client_fixture.h"

namespace flannel {
namespace {

class NodeNameTest : public ApiClientTest {
 protected:
  // Or what find_node_name() throws.
  std::string name() {
    std::string out;
    run(find(out));
    return out;
  }

 private:
  Task<bool> find(std::string& out) {
    try {
      out = co_await find_node_name(client, "kube-flannel", "kube-flannel-ds-x7z");
    } catch (const std::runtime_error& error) {
      out = error.what();
    }
    co_return true;
  }
};

TEST_F(NodeNameTest, IsInThePodsSpec) {
  answers({{.body = R"({"kind":"Pod","spec":{"nodeName":"n2"}})"}});
  EXPECT_EQ(name(), "n2");
  EXPECT_EQ(requests.at(0).path(), "/api/v1/namespaces/kube-flannel/pods/kube-flannel-ds-x7z");
}

TEST_F(NodeNameTest, APodWithoutANodeIsNamed) {
  const std::string missing =
      "node name not present in pod spec 'kube-flannel/kube-flannel-ds-x7z'";
  for (const char* pod :
       {R"({"spec":{}})", R"({"spec":{"nodeName":"../x"}})", R"({"spec":[]})", "[]", "no JSON"}) {
    answers({{.body = pod}});
    EXPECT_EQ(name(), missing) << pod;
  }
  answers({{.headers = {{":status", "404"}},
            .body = R"({"kind":"Status","reason":"NotFound","message":"pods \"x\" not found"})"}});
  EXPECT_TRUE(name().starts_with(
      "error retrieving pod spec for 'kube-flannel/kube-flannel-ds-x7z': GET /api/v1/"));
}

TEST(ObjectNameTest, AsKubernetesHasThem) {
  EXPECT_TRUE(is_object_name("ip-10-0-0-1.ec2.internal"));
  for (const std::string& name :
       {std::string(), std::string("N1"), std::string("-a"), std::string("a."), std::string("a/b"),
        std::string("a%2f"), std::string(254, 'a')}) {
    EXPECT_FALSE(is_object_name(name)) << name;
  }
}

}  // namespace
}  // namespace flannel
