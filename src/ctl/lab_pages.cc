// What a lab shows: leases and daemons.

#include <algorithm>
#include <boost/json.hpp>

#include "base/counted.h"
#include "base/file.h"
#include "base/printable.h"
#include "ctl/columns.h"
#include "ctl/lab.h"
#include "ctl/status_client.h"
#include "ctl/status_page.h"

namespace flannel {
namespace {

namespace json = boost::json;

// A daemon's status document; an empty object where it does not answer.
json::value status_of(const std::string& socket) {
  const Result<Page> page = get_page(socket, "/status");
  boost::system::error_code error;
  const json::value document = page ? json::parse(page->body, error) : json::value();
  return document.is_object() ? document : json::object();
}

std::string text_at(const json::value& document, const std::string& pointer) {
  boost::system::error_code error;
  const json::value* value = document.find_pointer(pointer, error);
  if (error || value == nullptr || value->is_null()) {
    return "-";
  }
  return printable(value->is_string() ? std::string(value->get_string()) : json::serialize(*value));
}

}  // namespace

std::vector<Family> Lab::families() const {
  const std::string text = record_.setting("families");
  return text == "v4"   ? std::vector{Family::v4}
         : text == "v6" ? std::vector{Family::v6}
                        : std::vector{Family::v4, Family::v6};
}

// A line for each subnet.
std::string Lab::leases() const {
  std::vector<std::vector<std::string>> rows{{"node", "subnet", "public IP", "until", "data"}};
  for (unsigned i = 1; i <= nodes(); ++i) {
    const json::value status = status_of(node_socket(i));
    for (std::size_t part = 0; part < families().size(); ++part) {
      const char* data =
          families()[part] == Family::v4 ? "/lease/backend_data" : "/lease/backend_v6_data";
      rows.push_back({fmt::format("n{}", i),
                      text_at(status, fmt::format("/lease/subnets/{}", part)),
                      text_at(status, fmt::format("/lease/public_ips/{}", part)),
                      text_at(status, "/lease/expiry"), text_at(status, data)});
    }
  }
  return in_columns(rows);
}

std::vector<std::string> Lab::status_row(unsigned i) const {
  const auto process = record_.processes.find(fmt::format("n{}", i));
  const bool alive = process != record_.processes.end() && is_alive(process->second);
  std::string pods;
  for (const Family family : families()) {
    pods += (pods.empty() ? "" : " ") + pod_address(i, family);
  }
  std::vector<std::string> row{fmt::format("n{}", i),
                               alive ? fmt::format("{}", process->second.pid) : "ended",
                               "-",
                               pods,
                               "-",
                               ""};
  if (!alive) {
    row[5] = "its log ends: " + printable(last_line(read_file(log_file(i)).value_or("")));
    return row;
  }
  const Result<Page> page = get_page(node_socket(i), "/status");
  const Result<StatusSummary> summary =
      page ? summarize_status(page->body) : std::unexpected(page.error());
  if (!summary) {
    row[5] = summary.error().text;
    return row;
  }
  row[2] = summary->state;
  row[4] = fmt::format("{} of {}", summary->good_peers, summary->peers);
  row[5] = summary->trouble;
  return row;
}

std::string Lab::status() const {
  std::vector<std::vector<std::string>> rows{
      {"node", "flanneld", "state", "pod", "peers", "reason"}};
  for (unsigned i = 1; i <= nodes(); ++i) {
    rows.push_back(status_row(i));
  }
  return fmt::format("lab {}: {}, made with {}\n", name_, counted(nodes(), "node"), config()) +
         in_columns(rows);
}

std::string Lab::pod_address(unsigned i, Family family) const {
  return record_.setting(fmt::format("pod{}{}", i, family == Family::v4 ? "" : "v6"));
}

}  // namespace flannel
