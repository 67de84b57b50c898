"""What traffic loses while every pod of flannel is replaced."""
import json
import os
import re
import sys
import time

import checks
from cluster import API_PORT, SERVICES, UNDERLAY, say
from machine import read, wait

PINGS_PER_SECOND = 200
PORT = 5000
CONNECTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "connects.py")
DAEMONS = ("-n", "kube-flannel")


class Probe:
    """A program that runs in a pod's network until it is told to stop, and says then what it saw."""

    def __init__(self, pod, name, *words):
        self.node, self.file = pod.node, f"{pod.node.folder}/probe-{name}.pid"
        script = 'echo $$ >"$0"; exec "$@"'
        self.process = self.node.popen("sh", "-c", script, self.file, *pod.argv(*words), stdout=-1, stderr=-2)

    def stop(self, signal):
        self.node.run("kill", f"-{signal}", read(self.file).strip())
        return self.process.communicate(timeout=60)[0]


def connects(pod, name, address, port, rate):
    return Probe(pod, name, sys.executable, CONNECTS, address, port, rate)


def ping(pod, address):
    return Probe(pod, "ping", "ping", "-q", "-i", str(1 / PINGS_PER_SECOND), address)


def counts(probe):
    """Ends a ping: how many were sent, and how many answered."""
    return tuple(map(int, re.search(r"(\d+) packets transmitted, (\d+) received", probe.stop("INT")).groups()))


def daemons(cluster):
    return {one["metadata"]["uid"] for one in cluster.get("pods", *DAEMONS, "-l", "app=flannel")["items"]}


def settle(cluster):
    cluster.kubectl(*DAEMONS, "rollout", "status", "ds/kube-flannel-ds", "--timeout=300s")


def restart(cluster):
    cluster.kubectl(*DAEMONS, "rollout", "restart", "ds/kube-flannel-ds")
    settle(cluster)


def measure(cluster, what, replace, theirs=False):
    """Counts what is lost while `replace` does so. Returns whether everything was replaced and nothing lost; of
    `theirs` new connections may fail: a Go flannel that starts makes its rules anew."""
    nodes = cluster.nodes()
    source, target = checks.run_pods(cluster, checks.pod("flood", nodes[0], "exec sleep 1000000"),
                                     checks.pod("target", nodes[1], "exec sleep 1000000"))
    address = target.addresses[0]
    source.run("ping", "-c", "2", "-i", "0.2", address)
    server = Probe(target, "accept", sys.executable, CONNECTS, "accept", PORT)
    refused = f"curl -s -m 1 http://{address}:{PORT}; [ $? = 7 ] && echo yes || true"
    wait("the probes' server", lambda: source.run("sh", "-c", refused) == "", 20)
    probes = {
        "to a pod": connects(source, "pod", address, PORT, 100),
        "to the outside": connects(source, "outside", UNDERLAY[0][1], API_PORT, 100),
        "to a Service": connects(source, "service", SERVICES[0][1], 443, 50),
    }
    pings = ping(source, address)
    time.sleep(2)
    before, begun = daemons(cluster), time.monotonic()
    replace()
    took, replaced = time.monotonic() - begun, before - daemons(cluster)
    time.sleep(2)
    sent, received = counts(pings)
    results = {name: json.loads(probe.stop("TERM")) for name, probe in probes.items()}
    server.stop("KILL")
    cluster.kubectl("delete", "pod/flood", "pod/target", "--wait=true")
    # The API forgets pods without a grace period before their nodes have ended them.
    wait("addresses to be free again", lambda: not checks.reserved(cluster))
    say(f"{what}: {len(replaced)} of {len(before)} replaced in {took:.1f} s; pings lost: {sent - received} of {sent};",
        "connections failed", ", ".join(f"{name}: {r['failed']} of {r['connections']}" for name, r in results.items()))
    for name, result in results.items():
        if failures := result["failures"]:
            say(f"    {name}: from {failures[0]} to {failures[-1]}")
    lost = sent != received or not theirs and any(result["failed"] for result in results.values())
    return replaced == before and not lost
