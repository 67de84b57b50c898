#include "ctl/status_page.h"

#include <algorithm>
#include <boost/json.hpp>

namespace flannel {
namespace {

namespace json = boost::json;

// Reads without insisting: a document of another version may lack fields.
class Reader {
 public:
  explicit Reader(const json::value* value) : value_(value) {}

  Reader operator[](std::string_view name) const {
    const json::object* object = value_ == nullptr ? nullptr : value_->if_object();
    return Reader(object == nullptr ? nullptr : object->if_contains({name.data(), name.size()}));
  }
  bool exists() const { return value_ != nullptr && !value_->is_null(); }
  // A string as it is, everything else as JSON; "" for nothing.
  std::string text() const {
    if (!exists()) {
      return "";
    }
    return value_->is_string() ? std::string(value_->get_string()) : json::serialize(*value_);
  }
  std::vector<Reader> items() const {
    std::vector<Reader> out;
    const json::array* array = value_ == nullptr ? nullptr : value_->if_array();
    if (array != nullptr) {
      for (const json::value& item : *array) {
        out.emplace_back(&item);
      }
    }
    return out;
  }
  // The items' texts with blanks between.
  std::string list() const {
    std::string out;
    for (const Reader& item : items()) {
      out += (out.empty() ? "" : " ") + item.text();
    }
    return out;
  }

 private:
  const json::value* value_;
};

Result<json::value> parse_status(std::string_view text) {
  boost::system::error_code error;
  json::value document = json::parse({text.data(), text.size()}, error);
  if (error || !document.is_object()) {
    return fail("the answer is no status document: {}", text.substr(0, 200));
  }
  return document;
}

std::string line(std::string_view label, const std::string& text) {
  return text.empty() ? "" : fmt::format("{:<11} {}\n", label, text);
}

std::string overview(const Reader& status) {
  std::string out =
      line("state", status["state"].text() +
                        (status["reason"].text().empty() ? "" : ": " + status["reason"].text()));
  const Reader interface = status["interface"];
  if (interface.exists()) {
    out += line("interface", fmt::format("{} {} MTU {}", interface["name"].text(),
                                         interface["addresses"].list(), interface["mtu"].text()));
  }
  if (status["network"].exists()) {
    out += line("network", status["network"]["networks"].list());
    out += line("backend", fmt::format("{} {}", status["network"]["backend"].text(),
                                       interface["devices"].list()));
  }
  const Reader lease = status["lease"];
  if (lease.exists()) {
    const std::string expiry =
        lease["expiry"].exists() ? ", until " + lease["expiry"].text() : ", a reservation";
    out += line("lease", fmt::format("{} as {}{}", lease["subnets"].list(),
                                     lease["public_ips"].list(), expiry));
  }
  out += line("pod MTU", interface["pod_mtu"].text());
  out += line("store", status["store"]["name"].text());
  return out + line("daemon", fmt::format("flanneld {}, pid {}, since {}", status["version"].text(),
                                          status["pid"].text(), status["started"].text()));
}

std::string peers(const Reader& peers, std::size_t most) {
  if (!peers.exists()) {
    return "";
  }
  const std::vector<Reader> list = peers["list"].items();
  std::string out = fmt::format("\n{} peer{}\n", list.size(), list.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < std::min(most, list.size()); ++i) {
    out += fmt::format("  {:<20} {:<16} {}\n", list[i]["subnets"].list(),
                       list[i]["public_ips"].list(), list[i]["state"].text());
  }
  if (list.size() > most) {
    out += fmt::format("  and {} more (--all)\n", list.size() - most);
  }
  return out;
}

std::string troubles(const Reader& status) {
  std::string out;
  const std::string store = status["store"]["trouble"].text();
  out += store.empty() ? "" : fmt::format("  store: {}\n", store);
  const std::string recalled = status["store"]["recalled"].text();
  out += recalled.empty() ? "" : fmt::format("  from last known state of {}\n", recalled);
  const std::string memory = status["store"]["memory_trouble"].text();
  out += memory.empty() ? "" : fmt::format("  state-dir: {}\n", memory);
  const std::string interface = status["interface"]["trouble"].text();
  out += interface.empty() ? "" : fmt::format("  interface: {}\n", interface);
  for (const Reader& problem : status["kernel"]["problems"].items()) {
    out += fmt::format("  {} {}: {} ({}), {} tries since {}\n", problem["verb"].text(),
                       problem["object"].text(), problem["text"].text(), problem["error"].text(),
                       problem["attempts"].text(), problem["since"].text());
  }
  for (const char* kind : {"refused", "skipped"}) {
    for (const Reader& peer : status["peers"][kind].items()) {
      out += fmt::format("  peer {} {}: {}\n", peer["name"].text(), kind, peer["reason"].text());
    }
  }
  for (const Reader& warning : status["warnings"].items()) {
    out += fmt::format("  {}\n", warning.text());
  }
  return out;
}

}  // namespace

Result<StatusSummary> summarize_status(std::string_view text) {
  const Result<json::value> document = parse_status(text);
  if (!document) {
    return std::unexpected(document.error());
  }
  const Reader status(&*document);
  StatusSummary summary;
  summary.ready = status["ready"].text() == "true";
  for (const Reader& peer : status["peers"]["list"].items()) {
    summary.good_peers += peer["state"].text() == "ok" ? 1 : 0;
  }
  return summary;
}

Result<std::string> status_page(std::string_view text, std::size_t most_peers) {
  const Result<json::value> document = parse_status(text);
  if (!document) {
    return std::unexpected(document.error());
  }
  const Reader status(&*document);
  std::string out = overview(status) + peers(status["peers"], most_peers);
  const std::string wrong = troubles(status);
  if (!wrong.empty()) {
    return out + "\nNot as wanted, and why\n" + wrong;
  }
  if (status["ready"].text() != "true") {
    return out;
  }
  return out + fmt::format("\nAll is well: the kernel has the {} objects it should.\n",
                           status["kernel"]["objects"].text());
}

}  // namespace flannel
