#include "cni/protocol/request.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <map>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

using Variables = std::map<std::string, std::string>;

constexpr const char* kConfig = R"({"cniVersion":"1.0.0","name":"n"})";

Request parse(const Variables& variables, std::string_view config = kConfig) {
  return parse_request(
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      config);
}

// `CODE MESSAGE (DETAILS)` of what is thrown.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const CniError& error) {
    return fmt::format("{} {}{}", error.code(), error.what(),
                       error.details().empty() ? "" : " (" + error.details() + ")");
  }
  return "none";
}

Variables of(const std::string& verb, const Variables& more = {}) {
  Variables out{{"CNI_COMMAND", verb},
                {"CNI_CONTAINERID", "x"},
                {"CNI_NETNS", "/n"},
                {"CNI_IFNAME", "eth0"},
                {"CNI_PATH", "/opt/cni/bin"}};
  for (const auto& [name, value] : more) {
    out[name] = value;
  }
  return out;
}

TEST(CniRequest, IsReadFromEnvironmentAndInput) {
  const Request request = parse(of("ADD", {{"CNI_ARGS", "A=1"}, {"CNI_NETNS_OVERRIDE", "True"}}));
  EXPECT_EQ(request.verb, Verb::add);
  EXPECT_EQ(request.attachment, (Attachment{"x", "eth0"}));
  EXPECT_EQ(request.netns, "/n");
  EXPECT_EQ(request.args, "A=1");
  EXPECT_EQ(request.path, "/opt/cni/bin");
  EXPECT_TRUE(request.own_netns_allowed);
  EXPECT_EQ(request.name, "n");
  EXPECT_EQ(request.version, "1.0.0");
  EXPECT_EQ(parse(of("ADD"), R"({"NAME":"n"})").version, "0.1.0");
}

// Codes, texts and their order are what the reference's skeleton answers.
TEST(CniRequest, NamesAllMissingVariablesAtOnce) {
  const auto missing = [](const char* verb, const char* config = kConfig) {
    return error_of([&] { parse({{"CNI_COMMAND", verb}}, config); });
  };
  EXPECT_EQ(missing("ADD"),
            "4 required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing");
  EXPECT_EQ(missing("CHECK"),
            "4 required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing");
  EXPECT_EQ(missing("DEL"),
            "4 required env variables [CNI_CONTAINERID,CNI_IFNAME,CNI_PATH] missing");
  EXPECT_EQ(missing("GC"), "4 required env variables [CNI_PATH] missing");
  EXPECT_EQ(missing("ADD", "{").substr(0, 2), "4 ");  // before the document
}

TEST(CniRequest, RefusesNamesThatCannotBe) {
  const auto refused = [](const char* name, const char* value) {
    return error_of([&] { parse(of("DEL", {{name, value}})); });
  };
  EXPECT_EQ(refused("CNI_CONTAINERID", ".x"), "4 invalid characters in containerID (.x)");
  EXPECT_EQ(refused("CNI_CONTAINERID", "a/b"), "4 invalid characters in containerID (a/b)");
  EXPECT_EQ(refused("CNI_IFNAME", ".."), "4 interface name is . or ..");
  for (const char* bad : {"a/b", "a:b", "a b", "a\tb"}) {
    EXPECT_TRUE(refused("CNI_IFNAME", bad)
                    .starts_with("4 interface name contains / or : or whitespace characters"))
        << bad;
  }
  EXPECT_TRUE(
      refused("CNI_IFNAME", "abcdefghijklmnop").starts_with("4 interface name is too long"));
  EXPECT_EQ(refused("CNI_IFNAME", "abcdefghijklmno"), "none");
  EXPECT_EQ(error_of([] { parse(of("GC", {{"CNI_CONTAINERID", "/"}})); }).substr(0, 2), "1 ");
}

TEST(CniRequest, ChecksDocumentThenNameThenVersionThenVerb) {
  const auto refused = [](const char* verb, const char* config) {
    return error_of([&] { parse(of(verb), config); });
  };
  EXPECT_TRUE(refused("FOO", "{").starts_with("6 network configuration is not JSON: "));
  EXPECT_TRUE(refused("ADD", "[]").starts_with("6 "));
  EXPECT_TRUE(refused("ADD", "").starts_with("6 "));
  EXPECT_EQ(refused("FOO", R"({"cniVersion":"9"})"), "7 missing network name");
  EXPECT_EQ(refused("FOO", R"({"name":"a b"})"),
            "7 invalid characters found in network name (a b)");
  EXPECT_EQ(refused("FOO", kConfig), "4 unknown CNI_COMMAND: FOO");
  EXPECT_TRUE(
      refused("ADD", R"({"cniVersion":"9.9.9","name":"n"})")
          .starts_with("1 incompatible CNI versions (config is \"9.9.9\", plugin supports"));
  EXPECT_EQ(refused("CHECK", R"({"cniVersion":"0.3.1","name":"n"})"),
            "1 config version does not allow CHECK");
  EXPECT_EQ(refused("GC", kConfig), "1 config version does not allow GC");
  EXPECT_EQ(refused("STATUS", kConfig), "1 config version does not allow STATUS");
}

TEST(CniArgs, GivesKnownValuesAndRefusesOthers) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(parse_args("", {"IP", "MAC"}), (Texts{"", ""}));
  EXPECT_EQ(parse_args("MAC=m;IgnoreUnknown=true;A=1;IP=i", {"IP", "MAC"}), (Texts{"i", "m"}));
  const auto refused = [](const char* args) { return error_of([&] { parse_args(args, {"IP"}); }); };
  EXPECT_EQ(refused("A=1;B=2"), "999 ARGS: unknown args [\"A=1\" \"B=2\"]");
  EXPECT_EQ(refused("ip=1"), "999 ARGS: unknown args [\"ip=1\"]");
  EXPECT_EQ(refused("IgnoreUnknown=0;A=1"), "999 ARGS: unknown args [\"A=1\"]");
  EXPECT_EQ(refused("IP"), "999 ARGS: invalid pair \"IP\"");
  EXPECT_EQ(refused("IP=1=2"), "999 ARGS: invalid pair \"IP=1=2\"");
  EXPECT_EQ(refused("IP=10.5.1.9;"), "999 ARGS: invalid pair \"\"");
  EXPECT_TRUE(refused("IgnoreUnknown=yes")
                  .starts_with("999 ARGS: error parsing value of pair \"IgnoreUnknown=yes\""));
}

TEST(CniRequest, CollectsNothingWithoutAListOfWhatStays) {
  for (const char* list :
       {"", R"(,"cni.dev/valid-attachments":null)", R"(,"cni.dev/valid-attachments":{})",
        R"(,"cni.dev/valid-attachments":[{}])", R"(,"cni.dev/valid-attachments":[5])",
        R"(,"cni.dev/valid-attachments":[{"containerID":"a"}])"}) {
    const Request request =
        parse(of("GC"), fmt::format(R"({{"cniVersion":"1.1.0","name":"n"{}}})", list));
    EXPECT_EQ(error_of([&] { valid_attachments(request); }).substr(0, 2), "7 ") << list;
  }
}

TEST(CniRequest, SaysWhatToDoWithAListOfPlugins) {
  const std::string error = error_of([] {
    parse(of("ADD"), R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"flannel"}]})");
  });
  EXPECT_TRUE(error.starts_with("7 this is a list of plugins")) << error;
  EXPECT_NE(error.find("jq"), std::string::npos) << error;
}

TEST(CniRequest, RefusesNamesThatNoJsonCanHold) {
  for (const auto& [name, value] : Variables{{"CNI_IFNAME", "a\xff"}, {"CNI_NETNS", "/a\x1b"}}) {
    const std::string error = error_of([&] { parse(of("ADD", {{name, value}})); });
    EXPECT_TRUE(error.starts_with("4 " + name)) << error;
  }
}

TEST(CniRequest, ListsValidAttachments) {
  const Request request = parse(of("GC"), R"({"cniVersion":"1.1.0","name":"n",
      "cni.dev/valid-attachments":[{"containerID":"b","ifname":"eth0"},
                                   {"containerID":"a","ifname":"eth1"}]})");
  EXPECT_EQ(valid_attachments(request), (std::vector<Attachment>{{"a", "eth1"}, {"b", "eth0"}}));
}

}  // namespace
}  // namespace flannel::cni
