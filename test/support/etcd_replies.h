// What a fake etcd answers, and a store that asks it.
#pragma once

#include <functional>
#include <memory>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

#include "rpc/grpc.h"
#include "store/etcd_store.h"
#include "store/store_fixture.h"
#include "test/support/fake_etcd.h"
#include "test/support/troubles.h"

namespace flannel {

using Reply = FakeEtcd::Reply;
using protozero::pbf_writer;

inline constexpr const char* kRange = "/etcdserverpb.KV/Range";
inline constexpr const char* kWatch = "/etcdserverpb.Watch/Watch";

// A message with a ResponseHeader of this revision, and what `more` writes behind it.
inline std::string message(std::int64_t revision,
                           const std::function<void(pbf_writer&)>& more = {}) {
  std::string out;
  pbf_writer writer(out);
  pbf_writer header(writer, 1);
  header.add_uint64(1, 7);
  header.add_int64(3, revision);
  header.add_uint64(4, 2);
  header.commit();
  if (more) {
    more(writer);
  }
  return out;
}

inline void write_lease(pbf_writer& parent, protozero::pbf_tag_type tag, const std::string& subnet,
                        std::int64_t revision) {
  pbf_writer entry(parent, tag);
  entry.add_string(1, subnet == "../config" ? "/coreos.com/network/config"
                                            : "/coreos.com/network/subnets/" + subnet);
  entry.add_int64(3, revision);
  entry.add_string(5, R"({"PublicIP":"198.18.0.9","BackendType":"vxlan"})");
}

inline std::string put_event(const std::string& subnet, std::int64_t revision) {
  return message(revision, [&](pbf_writer& writer) {
    pbf_writer event(writer, 11);
    write_lease(event, 2, subnet, revision);
  });
}

inline const std::string kCreated =
    grpc_frame(message(5, [](pbf_writer& writer) { writer.add_bool(3, true); }));

// One lease, of revision 5; a watch has it, and another one a moment later.
inline Reply honest(const std::string& path) {
  if (path == kRange) {  // to whoever asks for the one or the other
    return {.body = grpc_frame(message(5, [](pbf_writer& writer) {
              write_lease(writer, 2, "../config", 5);
              write_lease(writer, 2, "10.5.9.0-24", 5);
            }))};
  }
  return {.body = kCreated + grpc_frame(put_event("10.5.9.0-24", 5)) +
                  grpc_frame(put_event("10.5.10.0-24", 6)),
          .trailers = std::nullopt};
}

// A store of such an etcd, and what it says of its watches.
class FakeEtcdTest : public StoreFixture {
 protected:
  std::unique_ptr<LeaseStore> open(const FakeEtcd& server) {
    return make_etcd_store(
               loop.get_executor(), {.endpoints = server.url()},
               [this](const std::string& trouble) { note_trouble(troubles, trouble); }, least_rate)
        .value();
  }

  std::vector<std::string> troubles;
  LeastRate least_rate;
};

}  // namespace flannel
