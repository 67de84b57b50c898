#include "store/etcd_messages.h"

#include <fmt/core.h>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <stdexcept>

#include "base/printable.h"
#include "rpc/protobuf.h"

namespace flannel::etcd {
namespace {

using protobuf::bool_of;
using protobuf::bytes;
using protobuf::number;
using protobuf::text_of;
using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_writer;

template <class Field>
void each_field(const char* message, data_view view, const Field& field) {
  protobuf::each_field("etcd", message, {view.data(), view.size()}, field);
}

ResponseHeader read_header(data_view view) {
  ResponseHeader out;
  each_field("ResponseHeader", view, [&out](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case number(1):
        out.cluster_id = reader.get_uint64();
        break;
      case number(3):
        out.revision = reader.get_int64();
        break;
      case number(4):
        out.raft_term = reader.get_uint64();
        break;
      default:
        reader.skip();
    }
  });
  return out;
}

// What is there of a field that is cut, and so the last one.
data_view take_rest(pbf_reader& reader) {
  const data_view left = reader.data();
  const char* begin = left.data();
  protozero::decode_varint(&begin, left.data() + left.size());  // its length
  reader = pbf_reader();
  return {begin, static_cast<std::size_t>(left.data() + left.size() - begin)};
}

// Of one that is cut, what is there: its key comes first, its value last but one.
KeyValue read_key_value(data_view view, bool cut) {
  KeyValue out;
  out.cut = cut;
  const auto field = [&out](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        out.key = text_of(reader);
        break;
      case number(2):
        out.create_revision = reader.get_int64();
        break;
      case number(3):
        out.mod_revision = reader.get_int64();
        break;
      case bytes(5):
        out.value = text_of(reader);
        break;
      case number(6):
        out.lease = reader.get_int64();
        break;
      default:
        reader.skip();
    }
  };
  if (!cut) {
    each_field("KeyValue", view, field);
    return out;
  }
  try {
    pbf_reader reader(view);
    while (reader.next()) {
      field(reader);
    }
  } catch (const protozero::exception&) {  // where it was cut
  }
  return out;
}

// One key, or all from `key` up to `range_end`. An end that is there and empty is not the same as
// none: to etcd it means all keys from the first on (server/mvcc, treeIndex).
void write_keys(pbf_writer& writer, const std::string& key, const std::string& range_end) {
  writer.add_bytes(1, key);
  if (!range_end.empty()) {
    writer.add_bytes(2, range_end);
  }
}

void write_condition(pbf_writer writer, const Unchanged& unchanged) {
  writer.add_enum(1, 2);  // result: LESS
  writer.add_enum(2, 2);  // target: MOD, 0 where there is no key
  writer.add_bytes(3, unchanged.key);
  writer.add_int64(6, unchanged.revision + 1);
  if (!unchanged.range_end.empty()) {
    writer.add_bytes(64, unchanged.range_end);
  }
}

void write_operation(pbf_writer writer, const Operation& operation) {
  if (operation.verb == Operation::Verb::remove) {
    pbf_writer remove(writer, 3);  // DeleteRangeRequest
    remove.add_bytes(1, operation.key);
    return;
  }
  pbf_writer put(writer, 2);  // PutRequest
  put.add_bytes(1, operation.key);
  put.add_bytes(2, operation.value);
  put.add_int64(3, operation.lease);
}

}  // namespace

std::string encode(const RangeRequest& request) {
  std::string out;
  pbf_writer writer(out);
  write_keys(writer, request.key, request.range_end);
  writer.add_int64(3, request.limit);
  writer.add_int64(4, request.revision);
  return out;
}

std::string encode(const TxnRequest& request) {
  std::string out;
  pbf_writer writer(out);
  for (const Unchanged& condition : request.conditions) {
    write_condition(pbf_writer(writer, 1), condition);
  }
  for (const Operation& operation : request.success) {
    write_operation(pbf_writer(writer, 2), operation);
  }
  return out;
}

std::string encode(const LeaseGrantRequest& request) {
  std::string out;
  pbf_writer writer(out);
  writer.add_int64(1, request.ttl_seconds);
  writer.add_int64(2, request.id);
  return out;
}

std::string encode(const LeaseRevokeRequest& request) {
  std::string out;
  pbf_writer(out).add_int64(1, request.id);
  return out;
}

std::string encode(const AuthenticateRequest& request) {
  std::string out;
  pbf_writer writer(out);
  writer.add_string(1, request.name);
  writer.add_string(2, request.password);
  return out;
}

std::string encode(const WatchCreateRequest& request) {
  std::string out;
  pbf_writer writer(out);
  pbf_writer create(writer, 1);
  write_keys(create, request.key, request.range_end);
  create.add_int64(3, request.start_revision);
  create.add_bool(4, request.progress);
  create.add_int64(7, request.watch_id);
  create.commit();
  return out;
}

ResponseHeader decode_header(std::string_view message) {
  return read_header({message.data(), message.size()});
}

KeyValue decode_key_value(std::string_view message, bool cut) {
  return read_key_value({message.data(), message.size()}, cut);
}

Event decode_event(std::string_view message, bool cut) {
  Event out;
  each_field("Event", {message.data(), message.size()}, [&](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case number(1):
        out.deleted = reader.get_int32() == 1;
        break;
      case bytes(2):
        out.kv = read_key_value(cut ? take_rest(reader) : reader.get_view(), cut);
        break;
      default:
        reader.skip();
    }
  });
  return out;
}

TxnResponse decode_txn(std::string_view message) {
  TxnResponse out;
  each_field("TxnResponse", {message.data(), message.size()}, [&out](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case bytes(1):
        out.header = read_header(reader.get_view());
        break;
      case number(2):
        out.succeeded = bool_of(reader);
        break;
      default:
        reader.skip();
    }
  });
  return out;
}

LeaseGrantResponse decode_lease_grant(std::string_view message) {
  LeaseGrantResponse out;
  each_field("LeaseGrantResponse", {message.data(), message.size()}, [&out](pbf_reader& reader) {
    switch (reader.tag_and_type()) {
      case number(2):
        out.id = reader.get_int64();
        break;
      case number(3):
        out.ttl_seconds = reader.get_int64();
        break;
      case bytes(4):
        out.error = printable(text_of(reader));
        break;
      default:
        reader.skip();
    }
  });
  return out;
}

AuthenticateResponse decode_authenticate(std::string_view message) {
  AuthenticateResponse out;
  each_field("AuthenticateResponse", {message.data(), message.size()}, [&out](pbf_reader& reader) {
    if (reader.tag_and_type() == bytes(2)) {
      out.token = text_of(reader);
    } else {
      reader.skip();
    }
  });
  return out;
}

}  // namespace flannel::etcd
