#include "firewall/firewall_part.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ranges>
#include <set>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "firewall/names.h"
#include "firewall/nft_message.h"

namespace flannel {
namespace {

// What no rules of ours are equal to.
Ruleset with_remark(const Ruleset::Key& key, std::string remark) {
  return {key, {"# " + std::move(remark)}};
}

bool may_be_about(const NftNews& news, const Ruleset::Key& key) {
  return news.family == nft_family(key.family) && news.table == key.table &&
         (key.tool == FirewallTool::nftables || news.chain.empty() || news.chain == key.chain ||
          news.chain == iptables_from(key.table));
}

}  // namespace

FirewallPart::FirewallPart(std::chrono::milliseconds resync)
    : resync_(resync),
      requests_(NETLINK_NETFILTER),
      notifications_(NETLINK_NETFILTER, std::array{int{NFNLGRP_NFTABLES}}),
      begin_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  watch(notifications_.fd());
  watch(begin_.get());
}

// The same descriptor again, or another with its number, is no error.
void FirewallPart::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void FirewallPart::set_suffix(std::string suffix) {
  if (suffix != suffix_) {
    suffix_ = std::move(suffix);
    known_.clear();
  }
}

std::vector<Ruleset::Key> FirewallPart::our_keys() const {
  std::vector<Ruleset::Key> keys;
  for (const Family family : kFamilies) {
    for (const IptablesPlace& place : iptables_places(suffix_)) {
      keys.push_back(iptables_key(family, place));
    }
    keys.push_back(nft_key(family, suffix_));
  }
  return keys;
}

// The lines of iptables where the kernel has what it had when they were known; nothing where only
// the programs can tell.
std::optional<std::vector<std::string>> FirewallPart::known_lines(const Ruleset::Key& key,
                                                                  const IptablesFingerprint& now) {
  if (now.empty()) {
    known_.erase(key);
    return std::vector<std::string>();
  }
  const auto known = known_.find(key);
  return known != known_.end() && known->second.fingerprint == now
             ? std::optional(known->second.lines)
             : std::nullopt;
}

// Where only the programs can tell what there is, no more than that: they are asked when it is
// changed, and it is not where it turns out to be as wanted.
std::optional<Ruleset> FirewallPart::read_iptables(const Ruleset::Key& key) {
  std::optional<std::vector<std::string>> lines =
      known_lines(key, read_iptables_fingerprint(requests_, key));
  if (!lines) {
    return with_remark(key, is_queued(key)         ? "being changed"
                            : known_.contains(key) ? "changed by others"
                                                   : "not looked at yet");
  }
  return lines->empty() ? std::nullopt : std::optional(Ruleset{key, std::move(*lines)});
}

// What cannot be read is no reason to give up the rest: it is as what others have changed.
std::optional<Ruleset> FirewallPart::read(const Ruleset::Key& key) {
  try {
    return key.tool == FirewallTool::nftables ? tables_.read_rules(key) : read_iptables(key);
  } catch (const std::system_error& error) {
    return with_remark(key, fmt::format("cannot be read: {}", error.what()));
  }
}

std::optional<std::chrono::milliseconds> FirewallPart::audit() const {
  return legacy_tables_.any() ? std::optional(resync_) : std::nullopt;
}

void FirewallPart::dump(const Scope&, KindSet, Snapshot& snapshot) {
  Table<Ruleset> rows;
  for (const Ruleset::Key& key : our_keys()) {
    if (std::optional<Ruleset> row = read(key)) {
      rows.put(std::move(*row));
    }
  }
  snapshot.ours.of<Ruleset>() = std::move(rows);
}

// Tells what is there where that is news.
void FirewallPart::look_again(const Ruleset::Key& key, Changes& changes) {
  if (is_queued(key)) {
    return;  // it is looked at when that is done
  }
  std::optional<Ruleset> row = read(key);
  changes.ours.push_back({!row, row ? std::move(*row) : Ruleset{key, {}}});
}

// Counts transactions, which end with a message of their own.
void FirewallPart::take_news(Changes& changes) {
  const std::vector<Ruleset::Key> ours = our_keys();
  const bool complete = notifications_.drain([&](const netlink::MessageView& message) {
    if (const std::optional<NftNews> news = decode_nft_news(message)) {
      for (const Ruleset::Key& key : ours) {
        if (may_be_about(*news, key)) {
          in_transaction_.insert(key);
          touched_.insert(key);
        }
      }
    } else if (ends_transaction(message)) {
      for (const Ruleset::Key& key : std::exchange(in_transaction_, {})) {
        ++transactions_[key];
      }
    }
  });
  if (!complete) {
    changes.dump_needed |= kinds();
  }
}

void FirewallPart::changes(const Scope&, Changes& changes) {
  take_news(changes);
  follow(changes);
  for (const Ruleset::Key& key : std::exchange(touched_, {})) {
    look_again(key, changes);
  }
}

}  // namespace flannel
