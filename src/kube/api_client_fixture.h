// A client of the API that a test says everything about, and the server it talks to.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop_fixture.h"
#include "kube/api_client.h"
#include "test/support/fake_http2_server.h"

namespace flannel {

// As the test says it is now.
class TestAccess : public ApiAccess {
 public:
  struct Now {
    Result<ApiTarget> target;
    std::vector<bool> asked = {};  // with which `rejected`
  };
  explicit TestAccess(std::shared_ptr<Now> now) : now_(std::move(now)) {}

  std::string server() const override { return "http://kube.test"; }
  Task<Result<ApiTarget>> target(bool rejected) override {
    now_->asked.push_back(rejected);
    co_return now_->target;
  }

 private:
  std::shared_ptr<Now> now_;
};

class ApiClientTest : public LoopTest {
 protected:
  using Request = FakeHttp2Server::Request;
  using Reply = FakeHttp2Server::Reply;

  static Deadline in(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
  }

  // The last of `replies` answers all that follows.
  void answers(std::vector<Reply> given) {
    for (Reply& reply : given) {
      replies.push_back(std::move(reply));
    }
  }
  std::string body_of(ApiRequest request) {
    return run(client.call(std::move(request), in(std::chrono::seconds(20))));
  }
  std::string failure_of(ApiRequest request,
                         std::chrono::milliseconds within = std::chrono::seconds(20)) {
    return error_of(client.call(std::move(request), in(within)));
  }

  std::vector<Reply> replies;
  std::vector<Request> requests;
  FakeHttp2Server server{loop, [this](const Request& request) {
                           requests.push_back(request);
                           return replies.at(std::min(requests.size(), replies.size()) - 1);
                         }};
  std::shared_ptr<TestAccess::Now> now =
      std::make_shared<TestAccess::Now>(ApiTarget{.endpoint = *parse_endpoint(server.url()),
                                                  .base_path = "",
                                                  .tls = {},
                                                  .authorization = "Bearer one"});
  ApiClient client{loop.get_executor(), std::make_unique<TestAccess>(now)};
};

}  // namespace flannel
