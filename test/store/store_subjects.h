// The lease stores that the contract suite runs over, and a writer from outside for each.
#pragma once

#include <algorithm>

#include "kube/kube_store.h"
#include "store/etcd_store.h"
#include "store/lease_file.h"
#include "store/local_store.h"
#include "store/store_fixture.h"
#include "test/support/etcd_server.h"
#include "test/support/fake_kube_api.h"
#include "test/support/fake_store.h"
#include "test/support/lease_nodes.h"

namespace flannel {
// A store to be tested, and what somebody else may write to it.
class Subject {
 public:
  virtual ~Subject() = default;
  // Another daemon's, of the same data.
  virtual std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) = 0;
  // Nothing: it is removed.
  virtual void write_config(const std::optional<std::string>& text) = 0;
  // An entry as text, without expiry.
  virtual void put(const std::string& key, const std::string& value) = 0;
  virtual void remove(const std::string& key) = 0;
  // The time of all leases that are there now is up.
  virtual void expire_all() = 0;
};

class FakeSubject : public Subject {
 public:
  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return fake_.open(std::move(executor));
  }
  void write_config(const std::optional<std::string>& text) override { fake_.config = text; }
  void put(const std::string& key, const std::string& value) override {
    const Result<LeaseKey> parsed = parse_lease_key(key);
    const Result<LeaseAttrs> attrs = parse_lease_attrs(value);
    if (parsed && attrs) {
      fake_.put({.key = *parsed, .attrs = *attrs, .expiry = std::nullopt});
    } else {
      fake_.put_bad({.key = key, .reason = (parsed ? attrs.error() : parsed.error()).text});
    }
  }
  void remove(const std::string& key) override { fake_.remove(key); }
  void expire_all() override {
    const std::map<LeaseKey, Lease> leases = fake_.leases();
    for (const auto& [key, lease] : leases) {
      if (lease.expiry) {
        fake_.remove(key);
      }
    }
  }

 private:
  FakeStore fake_;
};

class LocalSubject : public Subject {
 public:
  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return make_local_store(std::move(executor), path_, [this] { return now(); }).value();
  }
  void write_config(const std::optional<std::string>& text) override {
    if (text) {
      file().set_config(*text);
    } else {
      Database(path_).execute("DELETE FROM config");
    }
  }
  void put(const std::string& key, const std::string& value) override {
    change([&](const Database& database) {
      Statement(database,
                "INSERT OR REPLACE INTO leases VALUES(?, ?, NULL, (SELECT revision FROM counter))")
          .bind(0, key)
          .bind(1, value)
          .run();
    });
  }
  void remove(const std::string& key) override {
    change([&](const Database& database) {
      Statement(database, "DELETE FROM leases WHERE key = ?").bind(0, key).run();
    });
  }
  void expire_all() override {
    passed_ += kLeaseTime + std::chrono::minutes(1);
    file().expire();  // as a daemon does whose clock says so
  }

 private:
  void change(const std::function<void(const Database&)>& work) {
    file();
    const Database database(path_);
    Transaction transaction(database);
    database.execute("UPDATE counter SET revision = revision + 1");
    work(database);
    transaction.commit();
  }
  std::chrono::system_clock::time_point now() const {
    return std::chrono::system_clock::now() + passed_;
  }
  LeaseFile file() const {
    return {path_, LeaseFile::IfMissing::create, [this] { return now(); }};
  }

  TestDirectory directory_;
  std::string path_ = directory_.file("leases.db");
  std::chrono::system_clock::duration passed_{};
};

class EtcdSubject : public Subject {
 public:
  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return make_etcd_store(std::move(executor), EtcdOptions{.endpoints = etcd_.url()}).value();
  }
  void write_config(const std::optional<std::string>& text) override {
    if (text) {
      etcd_.ctl({"put", kRoot + "config", *text});
    } else {
      etcd_.ctl({"del", kRoot + "config"});
    }
  }
  void put(const std::string& key, const std::string& value) override {
    etcd_.ctl({"put", kRoot + "subnets/" + key, value});
  }
  void remove(const std::string& key) override { etcd_.ctl({"del", kRoot + "subnets/" + key}); }
  void expire_all() override {
    std::istringstream lines(etcd_.ctl({"lease", "list"}));  // "found N leases", then their ids
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      etcd_.ctl({"lease", "revoke", line});
    }
  }

 private:
  const std::string kRoot = "/coreos.com/network/";
  EtcdServer etcd_;
};

// Leases are Nodes, named by their keys; what cannot be read are their annotations. Our own Node is
// not among them.
class KubeSubject : public Subject {
 public:
  explicit KubeSubject(asio::io_context& loop) : api_(loop) {}

  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor) override {
    return make_kube_store(api_.client(std::move(executor)), {.node_name = "own"});
  }
  void write_config(const std::optional<std::string>&) override {}  // a file
  void put(const std::string& key, const std::string& value) override {
    const Result<LeaseAttrs> attrs = parse_lease_attrs(value);
    NodeObject node = node_of_lease(
        node_name(key), {*parse_lease_key(key), attrs.value_or(LeaseAttrs()), std::nullopt});
    if (!attrs) {
      node.annotations["backend-data"] = value;
    }
    api_.put(std::move(node));
  }
  void remove(const std::string& key) override { api_.remove(node_name(key)); }
  void expire_all() override {}  // none does

 private:
  static std::string node_name(std::string key) {
    std::ranges::replace_if(key, [](char c) { return c == '&' || c == ':'; }, '.');
    return key;
  }

  FakeKubeApi api_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Subject> (*make)(asio::io_context& loop);
};

template <class S>
std::unique_ptr<Subject> make(asio::io_context& loop) {
  if constexpr (std::is_constructible_v<S, asio::io_context&>) {
    return std::make_unique<S>(loop);
  } else {
    return std::make_unique<S>();
  }
}

// A test over each of them.
class StoreContractTest : public StoreFixture, public testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().make == &make<EtcdSubject>) {
      ETCD_OR_SKIP();
    }
    subject = GetParam().make(loop);
    store = open();
  }

  std::unique_ptr<LeaseStore> open() { return subject->open(loop.get_executor()); }

  Lease acquire(const AcquireRequest& request) {
    const Result<Lease> lease = run(store->acquire(request));
    if (!lease) {
      throw std::runtime_error(lease.error().text);
    }
    return *lease;
  }

  std::unique_ptr<Subject> subject;
  std::unique_ptr<LeaseStore> store;
};

// What every store's watch does; only those of StoreContractTest choose subnets themselves.
class StoreWatchContractTest : public StoreContractTest {};

inline auto every_store() {
  return testing::Values(Kind{"Fake", &make<FakeSubject>}, Kind{"Local", &make<LocalSubject>},
                         Kind{"Etcd", &make<EtcdSubject>}, Kind{"Kube", &make<KubeSubject>});
}
inline auto every_store_that_chooses() {
  return testing::Values(Kind{"Fake", &make<FakeSubject>}, Kind{"Local", &make<LocalSubject>},
                         Kind{"Etcd", &make<EtcdSubject>});
}

inline std::string name_of_store(const testing::TestParamInfo<Kind>& info) {
  return info.param.name;
}

}  // namespace flannel
