"""Network policies of kube-network-policies beside flanneld: what they deny and allow, and that the two leave each
other's rules alone."""
import re

import checks
from cluster import API_PORT, UNDERLAY, say
from machine import wait

TABLE = ("inet", "kube-network-policies")


def policy(name, apps, **rules):
    selected = {"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
            "spec": {"podSelector": selected, **rules}}


def trying(name, app, node, until, address, port=80):
    """A pod that connects from its first moment on, says at each time whether that went well, and ends with what it is
    to wait for: yes or no."""
    connect = f"busybox timeout 1 busybox nc {address} {port} </dev/null >/dev/null"
    command = (f"while read at rest </proc/uptime; do if {connect}; then how=yes; else how=no; fi; echo $at $how; "
               f"[ $how != {until} ] || break; sleep 0.1; done; exec sleep 1000000")
    one = checks.pod(name, node, command)
    one["metadata"]["labels"] = {"app": app}
    return one


class Policies(checks.Results):
    """`friend` and `stranger` are on the first node, servers on that one (near) and on the second (far)."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, (here, there, *_) = cluster, cluster.nodes()
        self.here = here
        clients = [checks.pod(name, here, "exec sleep 1000000") for name in ("friend", "stranger")]
        self.friend, self.stranger, self.near, self.far = checks.run_pods(
            cluster, *clients, checks.web_server("near", here), checks.web_server("far", there))

    def fetch(self, by, server, family, exit_code=0):
        """Whether it ends so: with 28 when nothing answers in time."""
        url = f"http://{checks.bracketed(server.addresses[family])}/index.html"
        by.run("sh", "-c", f"curl -s -m 1 --noproxy '*' {url}; [ $? = {exit_code} ]")

    def allowed(self, by, server, family=0):
        self.check(f"{by.name} reaches {server.name}", lambda: self.fetch(by, server, family))

    def denied(self, by, server, family=0):
        self.check(f"{by.name} does not reach {server.name}", lambda: self.fetch(by, server, family, 28))

    def ingress(self):
        """Between pods of one node, and of two."""
        friends = [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}]
        self.cluster.apply(policy("friends", ["near", "far"], policyTypes=["Ingress"], ingress=friends))
        for family in range(self.cluster.families):
            for server in (self.near, self.far):
                self.denied(self.stranger, server, family)
                self.allowed(self.friend, server, family)
        # As kubelet's probes are made.
        self.check("a node reaches its pod", lambda: self.fetch(self.near.node, self.near, 0))

    def egress(self):
        """What a pod may not reach is known when the API tells of its address."""
        self.cluster.apply(policy("caged", ["caged"], policyTypes=["Egress"], egress=[]))
        outside = UNDERLAY[0][1]
        took = self.until("no", trying("caged", "caged", self.here, "no", outside, API_PORT))
        say(f"        a pod that starts is held after {took:.1f} s")
        caged = checks.Pod(self.cluster, "caged")
        self.check("a pod that may reach nothing does not",
                   lambda: caged.run("sh", "-c", f"! ping -c 1 -W 1 {outside}"))

    def new_pods(self):
        """The runtime tells of a pod before it starts (NRI), but on its node alone."""
        near, far = (self.until("yes", trying(f"new-{server.name}", "friend", self.here, "yes", server.addresses[0]))
                     for server in (self.near, self.far))
        self.check("what a pod may reach on its node it reaches at once", lambda: near == 0)
        say(f"        and on another node after {far:.1f} s")

    def until(self, state, pod):
        """Seconds from the pod's first try to the first that ends so."""
        name = pod["metadata"]["name"]

        def tries():
            found = re.findall(r"^(\S+) (yes|no)$", self.cluster.kubectl("logs", name), re.M)
            return found if found[-1][1] == state else None

        self.cluster.apply(pod)
        found = wait(f"a try that ends with {state}", tries)
        return float(found[-1][0]) - float(found[0][0])

    def heal(self, tool):
        """Rules of ours that go are made again, and the policies' are not touched: handles would be others."""
        node = self.here
        before = self.rules(node)
        if tool == "nftables":
            ours = "nft list table ip flannel-ipv4"
            node.run("nft", "delete", "table", "ip", "flannel-ipv4")
        else:
            ours = "iptables -C FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment 'flanneld forward' -j ACCEPT"
            node.run("iptables", "-F", "FLANNEL-FWD")
        self.check("rules of ours are made again", lambda: node.run("sh", "-c", ours))
        self.check("the policies' rules are as they were", lambda: self.rules(node) == before)

    def rules(self, node):
        text = node.run("nft", "-a", "list", "table", *TABLE)
        return re.sub(r"packets \d+ bytes \d+", "", text)

    def end(self):
        self.cluster.kubectl("delete", "networkpolicy/friends", "networkpolicy/caged")
        for server in (self.near, self.far):
            self.allowed(self.stranger, server)
        self.cluster.kubectl("delete", "pods", "--all", "--wait=true")
        wait("addresses to be free again", lambda: not checks.reserved(self.cluster))


def check_all(cluster, tool):
    """With flanneld's rules of that tool. Returns how many things do not work."""
    say("network policies, with", tool)
    found = Policies(cluster)
    for server in (found.near, found.far):
        found.allowed(found.stranger, server)
    found.ingress()
    found.new_pods()
    found.egress()
    found.heal(tool)
    found.end()
    return found.failed
