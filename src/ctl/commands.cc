#include "ctl/commands.h"

#include "base/version.h"
#include "ctl/lab_commands.h"
#include "ctl/node_commands.h"

namespace flannel {
namespace {

constexpr Option kSocket{"socket", "PATH",
                         "the daemon's; $FLANNELCTL_SOCKET, or /run/flannel/flanneld.sock"};
constexpr Option kName{"name", "NAME", "which lab (flab): one to eight small letters and digits"};

const std::vector<Option> kMaking{
    kName,
    {"nodes", "N", "1 to 20 (3)"},
    {"backend", "B", "a type (vxlan), or the Backend object of a network configuration"},
    {"dual-stack", "", "IPv4 and IPv6"},
    {"ipv6", "", "IPv6 alone"},
    {"network", "CIDR", "for the pods (10.5.0.0/16)"},
    {"ipv6-network", "CIDR", "the same (fc00:5::/48)"},
    {"routed", "", "each node on a subnet of its own, a router between them"},
    {"nftables", "", "nodes masquerade with nftables, not with iptables"},
    {"store", "S", "local (the default), etcd for one of its own, or etcd=http://HOST:PORT"},
    {"flanneld", "PATH", "the daemon (the one beside flannelctl)"}};

int version(const CommandLine&) {
  fmt::print("{}\n", kVersion);
  return 0;
}

const Command kCommands[] = {
    {"status",
     "",
     {kSocket,
      {"json", "", "the daemon's document as it is (docs/formats.md)"},
      {"all", "", "every peer, not the first 50"},
      {"wait", "[SECONDS]", "until the node is ready, at most so long"}},
     "the node: lease, peers, what is not as wanted and why",
     "Exit code: 0 where the state is ready, 1 where it is waiting or degraded, or\n"
     "where no daemon answers, 2 for a wrong command line.\n",
     node_status},
    {"plan",
     "",
     {kSocket},
     "what the daemon would change in the kernel now",
     "Looks at the kernel anew. Nothing is printed where all is as it should be. The\n"
     "daemon answers, so that one has to run; what it changed is in its log, with -v 1.\n",
     node_plan},
    {"lab up", "", kMaking, "make nodes and pods as network namespaces, with real daemons", "",
     lab_up},
    {"lab demo", "", kMaking, "make one, show it, break it, see it heal, remove it", "", lab_demo},
    {"lab list", "", {}, "the labs that there are", "", lab_list},
    {"lab status", "", {kName}, "its daemons and pods", "", lab_status},
    {"lab leases", "", {kName}, "the nodes' subnets", "", lab_leases},
    {"lab ping",
     "",
     {kName},
     "every pod pings every pod and the host outside",
     "The host outside, `out`, has no route to pods: it answers where a pod's node\n"
     "masquerades, and shows which address it sees. Exit code: 0 where every ping was\n"
     "answered, and only addresses of nodes were seen.\n",
     lab_ping},
    {"lab break",
     "",
     {kName},
     "do to n1 what happens to nodes, and see it heal",
     "Exit code: 0 where everything healed.\n",
     lab_break},
    {"lab exec",
     "nI|pI|out COMMAND…",
     {kName},
     "run a command on a node, a pod or the host outside",
     "Nodes and pods know each other by name: `flannelctl lab exec p1 ping p2`. On a\n"
     "node `flannelctl status` is that of its daemon. Options go before the command.\n",
     lab_exec},
    {"lab logs", "nI", {kName}, "what a node's daemon logged", "", lab_logs},
    {"lab stop", "nI", {kName, {"kill", "", "with SIGKILL"}}, "end a node's daemon", "", lab_stop},
    {"lab start",
     "nI",
     {kName, {"flanneld", "PATH", "another one than the lab's, such as the Go flannel's"}},
     "start a node's daemon",
     "With --store etcd the Go flannel's works beside ours; of it the lab only knows that\n"
     "it runs, as it has no status to ask for.\n",
     lab_start},
    {"lab down", "", {kName}, "remove everything", "", lab_down},
    {"lab relay", "SOCKET URL", {}, "", "", lab_relay},
    {"version", "", {}, "the version", "", version},
};

}  // namespace

std::span<const Command> all_commands() {
  return kCommands;
}

}  // namespace flannel
