// flannel: hands a container to the bridge, or to whatever plugin the configuration names, with the
// subnet that the daemon leased for this node.
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "cni/bridge/bridge.h"
#include "cni/flannel/delegate_record.h"
#include "cni/flannel/flannel_delegate.h"
#include "cni/protocol/attempts.h"
#include "cni/protocol/delegate.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

using std::chrono::milliseconds;

// At a node's boot the daemon is about to know its subnet; the runtime tries again after an error.
constexpr milliseconds kTimeout{1000};

std::string type_of(const json::object& delegate) {
  return Fields(delegate).text("type").value_or("");
}

FlannelEnv need_env(const FlannelConfig& config, milliseconds timeout, Code code) {
  const Result<FlannelEnv> env = read_flannel_env(config.subnet_file, timeout);
  if (!env) {
    const std::string reason = daemons_reason(config.subnet_file);
    throw CniError(
        code,
        fmt::format("failed to load flannel 'subnet.env' file: {}. Check the flannel pod "
                    "log for this node.",
                    env.error().text),
        fmt::format("waiting for {}, which flanneld on this node writes when it has a subnet: {}",
                    config.subnet_file,
                    reason.empty()
                        ? "it does not say why it has none; look whether it runs, and at "
                          "`flannelctl status`"
                        : reason));
  }
  return *env;
}

// As the reference, which says nothing, we go on. What a plugin writes to its standard error,
// runtimes put into their log.
void warn_of_ignored_fields(const Request& request) {
  for (const std::string& text : ignored_fields(request)) {
    const std::string line =
        fmt::format("flannel: configuration of network {}: {}\n", request.name, text);
    (void)write_all(STDERR_FILENO, line);
  }
}

json::object add(const Request& request) {
  const FlannelConfig config = parse_flannel(request);
  warn_of_ignored_fields(request);
  const FlannelEnv env = need_env(config, kTimeout, Code::try_again_later);
  const json::object delegate = make_delegate(request, env);
  const Request handed_on = delegated(request, delegate);
  const bool native = type_of(delegate) == kBridge.name;
  if (native) {
    bridge_validate(handed_on);  // a DEL has to be able to read what is recorded
  }
  // Before anything is made, so that a DEL knows what to remove however far we get.
  const bool known = save_record(config.data_dir, request.attachment, delegate);
  const Containers containers{.is_new = !known, .is_gone = [&config](const Attachment& attachment) {
                                return !find_record(config.data_dir, attachment).has_value();
                              }};
  try {
    return to_json(native ? bridge_add(handed_on, containers)
                          : delegate_add(handed_on, type_of(delegate), delegate),
                   request.version);
  } catch (const CannotRun&) {
    // A plugin that was not there has made nothing, and would fail a DEL as well, for ever.
    const std::optional<DelegateRecord> record = find_record(config.data_dir, request.attachment);
    if (!known && record) {
      remove_record(*record);
    }
    throw;
  }
}

// A verb for the plugin that the configuration names.
void hand_on(const Request& request, const json::object& delegate, const char* command,
             void (*of_bridge)(const Request&)) {
  const std::string type = type_of(delegate);
  if (type == kBridge.name) {
    of_bridge(delegated(request, delegate));
  } else {
    run_delegate(request, command, type, delegate);
  }
}

// An earlier ADD's result names what the container has.
void hand_on_previous_result(const Request& request, json::object& delegate) {
  if (const json::value* previous = request.fields().find("prevResult")) {
    delegate["prevResult"] = *previous;
  }
}

void remove(const Request& request, const DelegateRecord& record) {
  json::object delegate = record.delegate ? *record.delegate : make_delegate_for_removal(request);
  if (type_of(delegate) == kBridge.name) {
    hand_on_previous_result(request, delegate);
  }
  hand_on(request, delegate, "DEL", bridge_del);
  remove_record(record);
}

void del(const Request& request) {
  const std::optional<DelegateRecord> record =
      find_record(parse_flannel(request).data_dir, request.attachment);
  if (record) {
    remove(request, *record);
  }
}

void check(const Request& request) {
  const std::optional<DelegateRecord> record =
      find_record(parse_flannel(request).data_dir, request.attachment);
  if (!record || !record->delegate) {
    throw_error(Code::unknown_container, "container {} was not added here, or its record is gone",
                request.attachment.container_id);
  }
  json::object delegate = *record->delegate;
  hand_on_previous_result(request, delegate);
  hand_on(request, delegate, "CHECK", bridge_check);
}

// Empty where the record has none.
std::string_view network_of(const DelegateRecord& record) {
  const json::value* name = record.delegate ? record.delegate->if_contains("name") : nullptr;
  return name != nullptr && name->is_string() ? std::string_view(name->get_string())
                                              : std::string_view();
}

bool is_valid(const DelegateRecord& record, const std::vector<Attachment>& valid) {
  return std::any_of(valid.begin(), valid.end(), [&](const Attachment& each) {
    return each.container_id == record.attachment.container_id &&
           (record.attachment.ifname.empty() || record.attachment.ifname == each.ifname);
  });
}

void gc(const Request& request) {
  const FlannelConfig config = parse_flannel(request);
  const std::vector<Attachment> valid = valid_attachments(request);
  Attempts attempts;
  for (const DelegateRecord& record : list_records(config.data_dir)) {
    if (network_of(record) == request.name && !is_valid(record, valid)) {
      Request gone = request;
      gone.attachment = record.attachment;
      gone.netns.clear();
      attempts.run([&] { remove(gone, record); });
    }
  }
  json::object delegate = make_delegate_for_removal(request);
  if (const json::value* list = request.fields().find("cni.dev/valid-attachments")) {
    delegate["cni.dev/valid-attachments"] = *list;
  }
  attempts.run([&] { hand_on(request, delegate, "GC", kBridge.gc); });
  attempts.finish();
}

void status(const Request& request) {
  const FlannelEnv env =
      need_env(parse_flannel(request), milliseconds::zero(), Code::not_available);
  hand_on(request, make_delegate(request, env), "STATUS", kBridge.status);
}

}  // namespace

const Plugin kFlannel = {"flannel", add, check, del, gc, status};

}  // namespace flannel::cni
