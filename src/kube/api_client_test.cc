#include "kube/api_client.h"

#include <nghttp2/nghttp2.h>

#include "kube/api_client_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

FakeHttp2Server::Reply refusal(const std::string& status, const std::string& body = "",
                               const std::string& retry_after = "") {
  FakeHttp2Server::Reply reply{.headers = {{":status", status}}, .body = body};
  if (!retry_after.empty()) {
    reply.headers.push_back({"retry-after", retry_after});
  }
  return reply;
}

TEST_F(ApiClientTest, SaysWhoItIsAndWhatItTakes) {
  answers({{.body = "ok"}});
  now->target->base_path = "/k8s/clusters/c-1";
  EXPECT_EQ(body_of({.method = "PATCH",
                     .path = "/api/v1/nodes/n1/status",
                     .content_type = "application/strategic-merge-patch+json",
                     .body = "{}"}),
            "ok");
  const Headers& headers = requests.at(0).headers;
  EXPECT_EQ(find_header(headers, ":method"), "PATCH");
  EXPECT_EQ(find_header(headers, ":path"), "/k8s/clusters/c-1/api/v1/nodes/n1/status");
  EXPECT_EQ(find_header(headers, "authorization"), "Bearer one");
  EXPECT_EQ(find_header(headers, "accept"), "application/json");
  EXPECT_EQ(find_header(headers, "accept-encoding"), "identity");
  EXPECT_EQ(find_header(headers, "content-type"), "application/strategic-merge-patch+json");
  EXPECT_EQ(requests.at(0).body, "{}");
}

Task<std::string> first_part(ApiClient& client, ApiRequest request, Deadline deadline) {
  Http2Stream stream = co_await client.open(std::move(request), deadline);
  co_return co_await stream.read(deadline);
}

TEST_F(ApiClientTest, AStreamMayComeCompressedAndACallNever) {
  answers({{.body = "ok"}});
  EXPECT_EQ(run(first_part(client, {.path = "/", .gzip = true}, in(20s))), "ok");
  EXPECT_EQ(find_header(requests.at(0).headers, "accept-encoding"), "gzip");
  body_of({.path = "/", .gzip = true});
  EXPECT_EQ(find_header(requests.at(1).headers, "accept-encoding"), "identity");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(ApiClientTest, CredentialsAreReadAnewAfterA401AndOnceOnly) {
  answers({refusal("401", "Unauthorized"), {.body = "ok"}, refusal("401", "Unauthorized")});
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  EXPECT_EQ(now->asked, (std::vector{false, true}));
  EXPECT_TRUE(failure_of({.path = "/"})
                  .starts_with("GET /: HTTP status 401: Unauthorized; the API server does not"));
  EXPECT_EQ(requests.size(), 4U);
}

// Of thousands of nodes, each of which asks again a second after it failed.
TEST_F(ApiClientTest, AServerThatDoesNotKnowUsIsAskedLaterOrByOtherCredentials) {
  answers({refusal("401"), refusal("401"), {.body = "ok"}});
  const std::string unknown = failure_of({.path = "/"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(failure_of({.path = "/other"}, 100ms), unknown);
  }
  EXPECT_EQ(requests.size(), 2U);
  now->target->authorization = "Bearer two";
  EXPECT_EQ(run(client.call({.path = "/"}, in(500ms))), "ok");
  EXPECT_EQ(find_header(requests.at(2).headers, "authorization"), "Bearer two");
}

TEST_F(ApiClientTest, OtherCredentialsEndAWaitThatIsUnderWay) {
  answers({refusal("401"), refusal("401"), {.body = "ok"}});
  failure_of({.path = "/"});
  std::string body;
  asio::co_spawn(loop, client.call({.path = "/"}, in(20s)),
                 [&](const std::exception_ptr&, const std::string& answer) { body = answer; });
  run_until([&] { return requests.size() == 2; });
  loop.run_for(10ms);
  now->target->authorization = "Bearer two";
  run_until([&] { return !body.empty(); });
  EXPECT_EQ(find_header(requests.at(2).headers, "authorization"), "Bearer two");
}

TEST_F(ApiClientTest, WaitsAsLongAsTheServerAsksFor) {
  answers({refusal("429", "", "1"), refusal("503", "", "1"), {.body = "ok"}});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 3s);  // the second wait is longer
}

TEST_F(ApiClientTest, WaitsNoLongerThanTheDeadline) {
  answers({refusal("429", "too many", "1000000")});
  try {
    run(client.call({.path = "/"}, in(10s)));
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 429);
    EXPECT_EQ(error.retry_after, 1'000'000s);
  }
  EXPECT_EQ(requests.size(), 1U);
}

TEST_F(ApiClientTest, WaitsNoLongerThanATimeHoweverLongAnAnswerMayTake) {
  answers({refusal("429", "too many", "30")});
  EXPECT_EQ(failure_of({.path = "/"}, 10min), "GET /: HTTP status 429: too many");
  EXPECT_EQ(requests.size(), 1U);
}

TEST(Postponement, DoublesToHalfAMinuteOrSomeTimesWhatTheServerAsksFor) {
  for (const auto& [asked, most] :
       {std::pair(std::optional<std::chrono::seconds>(), 30s), std::pair(std::optional(0s), 30s),
        std::pair(std::optional(1s), 4s), std::pair(std::optional(5s), 20s),
        std::pair(std::optional(1'000'000s), 30s)}) {
    std::chrono::seconds wait = postponement(asked, 0s);
    EXPECT_EQ(wait, std::clamp(asked.value_or(0s), 1s, 30s));
    for (int i = 0; i < 10; ++i) {
      wait = postponement(asked, wait);
    }
    EXPECT_EQ(wait, most);
  }
}

// Whoever asks: those who failed ask again within a second, and there may be thousands of nodes.
TEST_F(ApiClientTest, WhatIsPostponedIsNotAskedBefore) {
  answers({refusal("429", "too many"), {.body = "ok"}});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(failure_of({.path = "/"}, 100ms), "GET /: HTTP status 429: too many");
    EXPECT_EQ(requests.size(), 1U);
  }
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(body_of({.path = "/other"}), "ok");
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 500ms);
  EXPECT_EQ(body_of({.path = "/"}), "ok");
}

TEST_F(ApiClientTest, AServerThatCannotServeIsLeft) {
  answers({refusal("500", "etcd is away"), {.body = "ok"}});
  EXPECT_EQ(failure_of({.path = "/api/v1/nodes?watch=true"}),
            "GET /api/v1/nodes: HTTP status 500: etcd is away");
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(ApiClientTest, WhatTheServerDidNotLookAtIsSentAgain) {
  answers({{.headers = {}, .reset = NGHTTP2_REFUSED_STREAM}, {.body = "ok"}});
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  answers({{.headers = {}, .reset = NGHTTP2_REFUSED_STREAM}});
  EXPECT_TRUE(failure_of({.path = "/"}).contains("REFUSED_STREAM"));
}

TEST_F(ApiClientTest, AServerThatGoesAwayAnswersWhatItHas) {
  answers({{.body = "first", .go_away = true}, {.body = "second"}});
  EXPECT_EQ(body_of({.path = "/"}), "first");
  EXPECT_EQ(body_of({.path = "/"}), "second");
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(ApiClientTest, GoesOnWithTheCredentialsFromBefore) {
  answers({{.body = "ok"}});
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  now->target = fail("open /token: no such file or directory");
  EXPECT_EQ(body_of({.path = "/"}), "ok");
  EXPECT_EQ(find_header(requests.at(1).headers, "authorization"), "Bearer one");
}

TEST_F(ApiClientTest, SaysWhyItCannotSayWhoItIs) {
  now->target = fail("open /token: no such file or directory");
  EXPECT_EQ(failure_of({.path = "/"}), "http://kube.test: open /token: no such file or directory");
  EXPECT_TRUE(requests.empty());
}

TEST_F(ApiClientTest, FollowsAServerThatIsConfiguredAnew) {
  answers({{.body = "old"}});
  FakeHttp2Server other(loop, [](const Request&) { return Reply{.body = "new"}; });
  EXPECT_EQ(body_of({.path = "/"}), "old");
  now->target->endpoint = *parse_endpoint(other.url());
  EXPECT_EQ(body_of({.path = "/"}), "new");
}

TEST_F(ApiClientTest, AnAnswerHasALimit) {
  answers({{.body = std::string(kMostApiAnswer + 1, 'x')}});
  EXPECT_TRUE(failure_of({.path = "/"}).contains("an answer of over"));
}

}  // namespace
}  // namespace flannel
