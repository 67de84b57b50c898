#include "network/backend_options.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/ascii_text.h"
#include "base/nearest.h"
#include "base/printable.h"

namespace flannel {
namespace {

namespace json = boost::json;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && lower_case(a) == lower_case(b);
}

// The one of `known` that was probably meant, whatever its case.
std::string_view nearest_field(std::string_view name, std::span<const std::string_view> known) {
  std::vector<std::string> lower;
  std::ranges::transform(known, std::back_inserter(lower), lower_case);
  const std::vector<std::string_view> words(lower.begin(), lower.end());
  const auto meant = std::ranges::find(words, nearest(lower_case(name), words));
  return meant == words.end() ? "" : known[static_cast<std::size_t>(meant - words.begin())];
}

}  // namespace

std::vector<std::string> unknown_fields(const json::object& object,
                                        std::span<const std::string_view> known,
                                        std::string_view where) {
  constexpr std::size_t kMostNamed = 5;
  std::vector<std::string> out;
  for (const json::key_value_pair& field : object) {
    const std::string_view name(field.key().data(), field.key().size());
    if (std::ranges::any_of(known, [&](std::string_view one) { return same_name(one, name); })) {
      continue;
    }
    if (out.size() == kMostNamed) {
      out.push_back(fmt::format("more than {} fields of the document are not known", kMostNamed));
      break;
    }
    const std::string_view meant = nearest_field(name, known);
    out.push_back(
        fmt::format("{}{} is not known{}", where, printable(name),
                    meant.empty() ? "" : fmt::format("; did you mean {}{}?", where, meant)));
  }
  return out;
}

const json::value* find_field(const json::object& object, std::string_view name) {
  const json::value* found = nullptr;
  for (const json::key_value_pair& field : object) {
    if (same_name({field.key().data(), field.key().size()}, name)) {
      found = field.value().is_null() ? nullptr : &field.value();
    }
  }
  return found;
}

Result<std::uint64_t> BackendOptions::number(std::string_view name, std::uint64_t otherwise,
                                             std::uint64_t most) const {
  const json::value* value = find_field(object_, name);
  if (value == nullptr) {
    return otherwise;
  }
  boost::system::error_code error;
  const std::uint64_t number = value->is_number() && !value->is_double()
                                   ? value->to_number<std::uint64_t>(error)
                                   : (error = json::error::not_number, 0);
  if (error) {
    return fail("{} {}: not a {}number", name, printable(json::serialize(*value)),
                value->is_number() ? "whole, unsigned " : "");
  }
  if (number > most) {
    return fail("{} {}: over {}", name, number, most);
  }
  return number;
}

Result<bool> BackendOptions::flag(std::string_view name, bool otherwise) const {
  const json::value* value = find_field(object_, name);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_bool()) {
    return fail("{} {}: neither true nor false", name, printable(json::serialize(*value)));
  }
  return value->get_bool();
}

Result<std::string> BackendOptions::text(std::string_view name, std::string otherwise) const {
  const json::value* value = find_field(object_, name);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_string()) {
    return fail("{} {}: not a string", name, printable(json::serialize(*value)));
  }
  return std::string(value->get_string());
}

}  // namespace flannel
