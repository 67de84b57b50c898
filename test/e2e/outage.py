"""The API server is away: flannel starts again meanwhile, a node boots, and the API server comes back."""
import time

import checks
import rollout
from cluster import say
from machine import wait

# For how long a booted node has no API server, in seconds.
AWAY = 20


def flanneld(node):
    """Its process there, if it runs."""
    return node.run("sh", "-c", "pgrep -x flanneld || true").split()


class Outage(checks.Results):
    def __init__(self, cluster):
        super().__init__()
        self.cluster, (here, self.there, *_) = cluster, cluster.nodes()
        self.client, self.server = checks.run_pods(cluster, checks.pod("client", here, "exec sleep 1000000"),
                                                   checks.web_server("server", self.there))

    def reaches(self, server):
        for address in server.addresses:
            self.client.run("curl", "-sSf", "-m", "2", "--noproxy", "*", f"http://{checks.bracketed(address)}")

    def daemons_start(self):
        """kubelet starts them again by itself. They know of the other nodes from before."""
        nodes = self.cluster.nodes()
        ping = rollout.ping(self.client, self.server.addresses[0])
        before = [flanneld(node) for node in nodes]
        for node, pids in zip(nodes, before):
            node.run("kill", "-9", *pids)
        wait("flannel to be started again", lambda: all(
            flanneld(node) and flanneld(node) != pids for node, pids in zip(nodes, before)))
        time.sleep(5)
        sent, received = rollout.counts(ping)
        self.check(f"{sent} pings while flannel starts without an API server", lambda: sent == received)
        for node in nodes:
            node.run("ip", "route", "flush", "proto", "70")
        self.check("routes that go come back without an API server", lambda: self.reaches(self.server))

    def node_boots(self):
        """Returns when it has been without an API server for a while, which then comes back."""
        self.cluster.reboot(self.there)
        time.sleep(AWAY)
        self.cluster.start_api()
        since = time.monotonic()
        wait("the pod to run again", self.runs_again, 300)
        say(f"the booted node's pod runs {time.monotonic() - since:.1f} s after the API server")
        self.check("and is reached", lambda: self.reaches(checks.Pod(self.cluster, "server")))

    def runs_again(self):
        status = self.cluster.get("pod", "server")["status"]
        return checks.is_ready({"status": status}) and status["containerStatuses"][0]["restartCount"] > 0


def test(cluster):
    """Returns how many things do not work."""
    outage = Outage(cluster)
    cluster.stop_api()
    say("the API server is away")
    outage.daemons_start()
    outage.node_boots()
    cluster.kubectl("delete", "pods", "--all", "--wait=true")
    wait("addresses to be free again", lambda: not checks.reserved(cluster))
    rollout.settle(cluster)
    return outage.failed + checks.check_all(cluster)
