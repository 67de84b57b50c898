#include "ctl/status_page.h"

#include <algorithm>
#include <boost/json.hpp>
#include <initializer_list>

#include "base/counted.h"
#include "base/printable.h"
#include "ctl/columns.h"

namespace flannel {
namespace {

namespace json = boost::json;

constexpr std::size_t kLongestText = 1000;

// Reads without insisting: a document of another version may lack fields.
class Reader {
 public:
  explicit Reader(const json::value* value) : value_(value) {}

  Reader operator[](std::string_view name) const {
    const json::object* object = value_ == nullptr ? nullptr : value_->if_object();
    return Reader(object == nullptr ? nullptr : object->if_contains({name.data(), name.size()}));
  }
  bool exists() const { return value_ != nullptr && !value_->is_null(); }
  // A string, everything else as JSON; "" for nothing. Fit for a terminal: much of it is of others.
  std::string text() const {
    if (!exists()) {
      return "";
    }
    return printable(
        value_->is_string() ? std::string(value_->get_string()) : json::serialize(*value_),
        kLongestText);
  }
  bool is(std::string_view expected) const { return text() == expected; }
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
    return fail("the answer is no status document: {}", printable(text));
  }
  return document;
}

// With blanks between those that are there.
std::string words(std::initializer_list<std::string> texts) {
  std::string out;
  for (const std::string& text : texts) {
    out += (out.empty() || text.empty() ? "" : " ") + text;
  }
  return out;
}

// What is to become of packets of pods that leave the overlay, or are forwarded to it; and whether
// it does, as far as problems tell.
std::string firewall(const Reader& status) {
  const Reader rules = status["firewall"];
  if (!rules.exists()) {
    return "";
  }
  const bool masquerade = rules["masquerade"].is("true"), accept = rules["forward"].is("true");
  const std::string suffix = rules["suffix"].text();
  const bool trouble = std::ranges::any_of(
      status["kernel"]["problems"].items(),
      [](const Reader& problem) { return problem["object"].text().starts_with("rules "); });
  std::string out = "no rules: nothing is masqueraded";
  if (masquerade || accept) {
    out = fmt::format("{}: {}{}{}", rules["tool"].text(),
                      masquerade ? "masquerades" : "does not masquerade",
                      accept ? ", accepts what is forwarded" : "",
                      suffix.empty() ? "" : "; names end in " + suffix);
  }
  return out + (trouble ? "; not as wanted, see below" : "");
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
    out += line("interface", words({interface["name"].text(), interface["addresses"].list(), "MTU",
                                    interface["mtu"].text()}));
  }
  if (status["network"].exists()) {
    out += line("network", status["network"]["networks"].list());
    out +=
        line("backend", words({status["network"]["backend"].text(), interface["devices"].list()}));
  }
  out += line("firewall", firewall(status));
  const Reader lease = status["lease"];
  if (lease.exists()) {
    // The last known state has no times.
    const std::string expiry = lease["expiry"].exists() ? ", until " + lease["expiry"].text()
                               : status["store"]["last_known_state_of"].exists()
                                   ? ", from last known state"
                                   : ", without an end";
    out += line("lease", fmt::format("{} as {}{}", lease["subnets"].list(),
                                     lease["public_ips"].list(), expiry));
  }
  out += line("pod MTU", interface["pod_mtu"].text());
  out += line("store", status["store"]["name"].text());
  return out + line("daemon", fmt::format("flanneld {}, pid {}, since {}", status["version"].text(),
                                          status["pid"].text(), status["started"].text()));
}

std::string tries(const std::string& number) {
  return number + (number == "1" ? " try" : " tries");
}

// A node with peers that have just come is ready all the same: here is how many.
std::string not_reached(const std::vector<Reader>& peers) {
  std::string out;
  for (const std::string_view state : {"pending", "failed"}) {
    const auto count =
        std::ranges::count_if(peers, [&](const Reader& peer) { return peer["state"].is(state); });
    if (count > 0) {
      out += fmt::format(", {} {}", count, state);
    }
  }
  return out;
}

// A line a subnet.
std::string peers(const Reader& peers, std::size_t most) {
  if (!peers.exists()) {
    return "";
  }
  const std::vector<Reader> list = peers["list"].items();
  std::vector<std::vector<std::string>> rows{{"subnet", "public IP", "state"}};
  for (std::size_t i = 0; i < std::min(most, list.size()); ++i) {
    const std::vector<Reader> subnets = list[i]["subnets"].items();
    const std::vector<Reader> addresses = list[i]["public_ips"].items();
    for (std::size_t part = 0; part < std::max(subnets.size(), addresses.size()); ++part) {
      rows.push_back({part < subnets.size() ? subnets[part].text() : "",
                      part < addresses.size() ? addresses[part].text() : "",
                      list[i]["state"].text()});
    }
  }
  std::string out = fmt::format("\n{}{}\n", counted(list.size(), "peer"), not_reached(list));
  out += rows.size() == 1 ? "" : in_columns(rows, "  ");
  if (list.size() > most) {
    out += fmt::format("  and {} more (--all)\n", list.size() - most);
  }
  return out;
}

std::vector<std::string> troubles(const Reader& status) {
  std::vector<std::string> out;
  const auto add = [&out](const Reader& text) {
    if (!text.text().empty()) {
      out.push_back(text.text());
    }
  };
  for (const Reader& trouble : status["troubles"].items()) {
    add(trouble);
  }
  const std::vector<Reader> problems = status["kernel"]["problems"].items();
  for (const Reader& problem : problems) {
    const Reader waiting = problem["waiting"];
    out.push_back(fmt::format(
        "{} {}: {} ({}), {} since {}{}", problem["verb"].text(), problem["object"].text(),
        problem["text"].text(), problem["error"].text(), tries(problem["attempts"].text()),
        problem["since"].text(),
        waiting.exists() && !waiting.is("0") ? "; other objects that wait for it: " + waiting.text()
                                             : ""));
  }
  const Reader count = status["kernel"]["problem_count"];
  if (count.exists() && !count.is(fmt::format("{}", problems.size()))) {
    out.push_back(fmt::format("… of {} that the kernel refuses", count.text()));
  }
  for (const char* kind : {"refused", "skipped"}) {
    for (const Reader& peer : status["peers"][kind].items()) {
      out.push_back(
          fmt::format("peer {} {}: {}", peer["name"].text(), kind, peer["reason"].text()));
    }
  }
  for (const Reader& warning : status["warnings"].items()) {
    add(warning);
  }
  return out;
}

StatusSummary summarize(const Reader& status) {
  StatusSummary summary;
  summary.state = status["state"].text();
  summary.has_converged = status["ready"].is("true");
  for (const Reader& peer : status["peers"]["list"].items()) {
    ++summary.peers;
    summary.good_peers += peer["state"].is("ok") ? 1 : 0;
  }
  const std::vector<std::string> wrong = troubles(status);
  summary.trouble = status["reason"].text();
  if (summary.trouble.empty() && !wrong.empty()) {
    summary.trouble = wrong.front();
  }
  summary.is_well = summary.state == "ready" && summary.has_converged && wrong.empty() &&
                    summary.good_peers == summary.peers;
  return summary;
}

}  // namespace

Result<StatusSummary> summarize_status(std::string_view text) {
  const Result<json::value> document = parse_status(text);
  if (!document) {
    return std::unexpected(document.error());
  }
  return summarize(Reader(&*document));
}

Result<std::string> status_page(std::string_view text, std::size_t most_peers) {
  const Result<json::value> document = parse_status(text);
  if (!document) {
    return std::unexpected(document.error());
  }
  const Reader status(&*document);
  std::string out = overview(status) + peers(status["peers"], most_peers);
  const std::vector<std::string> wrong = troubles(status);
  out += wrong.empty() ? "" : "\nNot as wanted, and why\n";
  for (const std::string& trouble : wrong) {
    out += "  " + trouble + "\n";
  }
  if (summarize(status).is_well) {
    out += fmt::format("\nAll is well: the kernel has the {} objects it should.\n",
                       status["kernel"]["objects"].text());
  }
  return out;
}

}  // namespace flannel
