// The firewall rules of a World: which are wanted, and what others do to them.

#include <cstdlib>
#include <filesystem>

#include "ctl/process.h"
#include "test/world/world.h"

namespace flannel {
namespace {

// Whoever has rules of their own puts them back where somebody flushed them.
constexpr const char* kForeignRules =
    "nft 'add table inet other; flush table inet other;"
    "     add chain inet other c { type filter hook forward priority 5; };"
    "     add rule inet other c ip daddr 192.0.2.7 counter drop'\n"
    "printf '*nat\\n:OTHER - [0:0]\\n-A OTHER -d 192.0.2.7/32 -j ACCEPT\\nCOMMIT\\n' |"
    " iptables-restore --noflush\n";

constexpr const char* kOthersIdeaOfOurs = R"(%-restore --noflush <<'END'
*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m comment --comment "flanneld masq" -j RETURN
COMMIT
END
)";

// `%` stands for iptables or ip6tables, `@` for a table of ours.
struct Vandal {
  const char* command;
  bool takes_others = false;  // rules that are neither ours nor theirs
};
constexpr Vandal kIptablesVandals[] = {
    {"% -t nat -F", true},
    {"% -F"},
    {"% -t nat -F FLANNEL-POSTRTG"},
    {"% -t nat -D FLANNEL-POSTRTG 3"},
    {"% -t nat -I FLANNEL-POSTRTG -j ACCEPT"},
    {"% -t nat -D POSTROUTING -m comment --comment 'flanneld masq' -j FLANNEL-POSTRTG"},
    {"% -t nat -I POSTROUTING -m comment --comment 'flanneld masq' -j FLANNEL-POSTRTG"},
    {"% -t nat -I POSTROUTING -j FLANNEL-POSTRTG"},
    {"% -t nat -A POSTROUTING -s 10.77.0.0/16 -m comment --comment 'flanneld masq' -j RETURN"},
    {"% -A FLANNEL-FWD -j DROP"},
    {"% -t nat -F; % -t nat -X", true},
    {"printf '*nat\\nCOMMIT\\n*filter\\nCOMMIT\\n' | %-restore", true},
    {kOthersIdeaOfOurs},
};
constexpr Vandal kNftVandals[] = {
    {"nft flush ruleset", true},
    {"nft delete table @"},
    {"nft flush table @"},
    {"nft flush chain @ postrtg"},
    {"nft insert rule @ postrtg counter return"},
    {"nft 'add chain @ forward { policy drop; }'"},
    {"nft 'add table @; add chain @ other'"},
    {"nft 'delete table @; add table @ { comment \"none of ours\"; }'"},
};

std::string with(std::string text, char place, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(place, at)) != std::string::npos; at += by.size()) {
    text.replace(at, 1, by);
  }
  return text;
}

}  // namespace

// iptables costs a program a change, and so is chosen less often.
void World::choose_firewall(std::string& config) {
  const std::uint32_t tool = below(8);
  if (tool > 1) {
    config.insert(1, R"("EnableNFTables":true,)");
  }
  iptables_ = tool == 0 ? "legacy" : "nft";
  for (const std::string name : {"iptables", "ip6tables"}) {
    for (const std::string suffix : {"", "-save", "-restore"}) {
      std::filesystem::create_symlink(fmt::format("/usr/sbin/{}-{}{}", name, iptables_, suffix),
                                      directory_.file(name + suffix));
    }
  }
  ::setenv("PATH",
           fmt::format("{}:/usr/sbin:/sbin:/usr/bin:/bin", directory_.path().string()).c_str(), 1);
  ::setenv("XTABLES_LOCKFILE", directory_.file("xtables.lock").c_str(), 1);
}

void World::choose_rules() {
  options_.ip_masq = below(4) != 0;
  options_.ip_masq_fully_random_disable = true;  // no program is asked
  options_.ip_masq_exclude.clear();
  if (below(3) == 0) {
    options_.ip_masq_exclude = {"192.0.2.0/24", "2001:db8::/32"};
  }
  options_.iptables_forward_rules = below(2) == 0;
  options_.ip_blackhole_route = below(3) == 0;
  tell(fmt::format("masquerade {}, but {}, forward {}, blackhole {}", options_.ip_masq,
                   options_.ip_masq_exclude.size(), options_.iptables_forward_rules,
                   options_.ip_blackhole_route));
}

// The older kind tells of nothing.
std::chrono::milliseconds World::resync() const {
  return iptables_ == "legacy" ? std::chrono::milliseconds(20) : std::chrono::hours(1);
}

std::unique_ptr<HostKernel> World::kernel_with(std::unique_ptr<Part> firewall) {
  std::vector<std::unique_ptr<Part>> parts;
  parts.push_back(std::move(firewall));
  return std::make_unique<HostKernel>(std::move(parts));
}

void World::plant_foreign_rules() {
  run_program({"sh", "-ec", kForeignRules});
}

// Somebody flushes, reorders or takes away what is ours, or leaves what looks like it.
void World::change_rules() {
  const bool v4 = below(2) == 0;
  const Vandal& vandal = below(3) != 0 ? kNftVandals[below(std::size(kNftVandals))]
                                       : kIptablesVandals[below(std::size(kIptablesVandals))];
  const std::string text = with(with(vandal.command, '%', v4 ? "iptables" : "ip6tables"), '@',
                                v4 ? "ip flannel-ipv4" : "ip6 flannel-ipv6");
  const ProgramResult result = RunningProgram({"sh", "-c", text}).wait();
  tell("rules: " + text + (result.status == 0 ? "" : " (failed)"));
  if (vandal.takes_others) {
    plant_foreign_rules();
  }
}

}  // namespace flannel
