// Whoever may write into a lease store writes what means no good, into every key and field; what a
// daemon then shows is valid, printable and short, and all that is right is used.

#include <boost/json.hpp>
#include <map>
#include <sstream>

#include "base/file.h"
#include "base/printable.h"
#include "ctl/status_page.h"
#include "store/local_store.h"
#include "store/sqlite.h"
#include "store/store_file_fixture.h"
#include "test/daemon/daemon_fixture.h"
#include "test/support/etcd_replies.h"
#include "test/support/hostile_texts.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr const char* kConfig =
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.200.0","Backend":{"Type":"vxlan"}})";
// Of a line: two quotes and the sentence around them.
constexpr std::size_t kLongestLine = 2 * kLongestQuote;

// Keys, as behind `subnets/`, and values.
using Entries = std::map<std::string, std::string>;

// Each text as a key and behind one, and as every field's value, as JSON has it and as it is.
Entries hostile_entries() {
  Entries entries;
  unsigned subnet = 0;
  const auto add = [&](const std::string& value) {
    entries[fmt::format("10.5.{}.0-24", ++subnet)] = value;
  };
  for (const std::string& text : hostile_texts()) {
    const std::string quoted = json::serialize(json::string(text));
    entries[text] = quoted;
    entries[text + "10.5.199.0-24"] = "{}";
    entries["10.5.199.0-24" + text] = "{}";
    add(text);
    add("\"" + text + "\"");
    for (const char* field :
         {"PublicIP", "PublicIPv6", "BackendType", "BackendData", "BackendV6Data"}) {
      add(fmt::format(R"({{"PublicIP":"198.18.1.1","BackendType":"vxlan","{}":{}}})", field,
                      quoted));
    }
    add(fmt::format(
        R"({{"PublicIP":"198.18.1.1","BackendType":"vxlan","BackendData":{{"VtepMAC":{}}}}})",
        quoted));
    add(fmt::format(R"({{"PublicIP":"198.18.1.1",{}:1}})", quoted));
    add(fmt::format(R"({{"PublicIP":"198.18.1.1","BackendType":"{}"}})", text));
  }
  EXPECT_LT(subnet, 199U);
  entries["10.5.0.0-24"] =
      R"({"PublicIP":"198.18.2.2","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:02:02"}})";
  return entries;
}

// A lease store with such entries.
class Victim {
 public:
  virtual ~Victim() = default;
  virtual std::unique_ptr<LeaseStore> open(asio::io_context& io, const std::string& config) = 0;
  virtual void close() {}  // before `io` goes
};

class LocalVictim : public Victim {
 public:
  std::unique_ptr<LeaseStore> open(asio::io_context& io, const std::string& config) override {
    EXPECT_TRUE(write_local_config(path_, config));
    const Database database(path_);
    Transaction transaction(database);
    for (const auto& [key, value] : hostile_entries()) {
      Statement(database, "INSERT OR REPLACE INTO leases VALUES(?, ?, NULL, 1)")
          .bind(0, key)
          .bind(1, value)
          .run();
    }
    database.execute("UPDATE counter SET revision = revision + 1");
    transaction.commit();
    return make_local_store(io.get_executor(), path_).value();
  }

 private:
  TestDirectory folder_;
  std::string path_ = folder_.file("leases\x1b[2J\xff.db");
};

class EtcdVictim : public Victim {
 public:
  std::unique_ptr<LeaseStore> open(asio::io_context& io, const std::string& config) override {
    server_.emplace(io, [config](const std::string& path, const std::string& asked) {
      return answer(path, asked, config);
    });
    return make_etcd_store(io.get_executor(), {.endpoints = server_->url()}).value();
  }
  void close() override { server_.reset(); }

 private:
  static constexpr const char* kPrefix = "/coreos.com/network/";

  static void write(pbf_writer& writer, protozero::pbf_tag_type tag, const std::string& key,
                    const std::string& value) {
    pbf_writer entry(writer, tag);
    const std::string whole = kPrefix + key;
    entry.add_bytes(1, whole.data(), whole.size());
    entry.add_int64(3, 5);
    entry.add_bytes(5, value.data(), value.size());
  }
  static Reply answer(const std::string& path, const std::string& asked,
                      const std::string& config) {
    if (path == kWatch) {  // each as an event too
      return {.body = kCreated + grpc_frame(message(6,
                                                    [](pbf_writer& writer) {
                                                      for (const auto& [key, value] :
                                                           hostile_entries()) {
                                                        pbf_writer event(writer, 11);
                                                        write(event, 2, "subnets/" + key, value);
                                                      }
                                                    })),
              .trailers = std::nullopt};
    }
    return {.body = grpc_frame(message(5, [&](pbf_writer& writer) {
              if (path != kRange) {
                writer.add_int64(2, path.ends_with("Txn") ? 1 : 77);
                writer.add_int64(3, 3600);
              } else if (asked.contains("/network/config")) {
                write(writer, 2, "config", config);
              } else if (asked.contains("/subnets0")) {
                for (const auto& [key, value] : hostile_entries()) {
                  write(writer, 2, "subnets/" + key, value);
                }
              }
            }))};
  }

  std::optional<FakeEtcd> server_;
};

// What a daemon shows, which runs on a device with such a name.
class HostileConfiguration : public DaemonFixture<> {
 protected:
  HostileConfiguration() {
    const char* const name = "\x1b[2J\xff\"";
    kernel.host_view.interfaces.front().name = name;
    kernel.host_view.default_routes.push_back({.dev = name});
    options.iface.clear();
  }

  static void expect_lines(const std::string& text, const char* what) {
    EXPECT_TRUE(text.empty() || text.ends_with('\n')) << what;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_TRUE(printable(line, SIZE_MAX) == line) << what << ": " << printable(line);
      EXPECT_LT(line.size(), kLongestLine) << what << ": " << printable(line);
    }
  }
  static void expect_short(const json::value& value) {
    if (value.is_string()) {
      EXPECT_LT(value.get_string().size(), kLongestLine) << value.get_string();
    } else if (value.is_array()) {
      std::ranges::for_each(value.get_array(), expect_short);
    } else if (value.is_object()) {
      for (const json::key_value_pair& field : value.get_object()) {
        expect_short(field.value());
      }
    }
  }
  // All that the daemon shows.
  void expect_fit_to_be_shown() {
    const std::string document = status_json(state());
    EXPECT_TRUE(printable(document, SIZE_MAX) == document) << printable(document, SIZE_MAX);
    boost::system::error_code error;
    expect_short(json::parse(document, error));
    EXPECT_FALSE(error) << error.message();
    const Result<std::string> page = status_page(document, 1'000);
    ASSERT_TRUE(page) << page.error().text;
    expect_lines(*page, "flannelctl status");
    expect_lines(plan_text(state()), "flannelctl plan");
    expect_lines(read_file(options.subnet_file + ".reason").value_or(""), "reason");
  }
};

class HostileLeases : public HostileConfiguration, public testing::WithParamInterface<const char*> {
 protected:
  HostileLeases() {
    if (GetParam() == std::string_view("local")) {
      victim_ = std::make_unique<LocalVictim>();
    } else {
      victim_ = std::make_unique<EtcdVictim>();
    }
  }
  ~HostileLeases() override {
    victim_->close();
    crash();
  }
  std::unique_ptr<LeaseStore> open_store(asio::io_context& io) override {
    return victim_->open(io, kConfig);
  }

 private:
  std::unique_ptr<Victim> victim_;
};

TEST_P(HostileLeases, AreShownInPrintableTextAndStopNothing) {
  testing::internal::CaptureStderr();
  start();
  const bool settled = run_until(
      [&] { return state().ready && state().peers() && state().peers()->refused().size() > 100; });
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(settled) << log;
  expect_lines(log, "log");
  expect_fit_to_be_shown();
  EXPECT_NE(state().peers()->find_usable(*parse_lease_key("10.5.0.0-24")), nullptr);
}

TEST_F(HostileConfiguration, IsShownInPrintableText) {
  for (const std::string& text : hostile_texts()) {
    const std::string quoted = json::serialize(json::string(text));
    for (const std::string& form : {
             text,
             R"({"Network":)" + quoted + "}",
             R"({"Network":"10.5.0.0/16","SubnetMin":)" + quoted + "}",
             R"({"Network":"10.5.0.0/16","SubnetLen":)" + quoted + "}",
             R"({"Network":"10.5.0.0/16","EnableIPv6":)" + quoted + "}",
             R"({"Network":"10.5.0.0/16","Backend":)" + quoted + "}",
             R"({"Network":"10.5.0.0/16","Backend":{"Type":)" + quoted + "}}",
             R"({"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":)" + quoted + "}}",
         }) {
      store.config = form;
      testing::internal::CaptureStderr();
      start();
      const bool told =
          run_until([&] { return daemon().exit_code() == 1 || state().reason != "starting"; });
      const std::string log = testing::internal::GetCapturedStderr();
      ASSERT_TRUE(told) << printable(form);
      EXPECT_FALSE(state().ready);
      expect_lines(log, "log");
      expect_fit_to_be_shown();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, HostileLeases, testing::Values("local", "etcd"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel
