#!/usr/bin/env python3
"""What a daemon costs with leases in the Nodes of a real kube-apiserver, beside any other flanneld.

usage: kube.py KUBE NODES[,...] NAME=FLANNELD [NAME=FLANNELD ...]
KUBE has kube-apiserver and kubectl as its first argument. Everything runs in one network namespace of its own, with 300
more links, as 150 pods have them; each daemon has a server of its own, and flannel's account and rights there. One line
of JSON a case:
  node_bytes   of each Node, encoded: 50 images, and who wrote which of its fields
  list_ms      what the server takes to send the list of all Nodes to who makes nothing of it: the least of any daemon
  subnet_ms    exec -> subnet.env is there
  all_ms       exec -> the routes, neighbours and FDB entries of all peers are in the kernel, looked at every 5 ms by
               the number of routes and then counted
  cpu_ms       CPU time of the daemon until then;  rx_kb  what it received until 2 s later, TLS included
  calls        of the server until then;  rss_kb, anon_kb, peak_kb  resident memory when idle, what
               of it is no page of a file, and the most
  idle_csw, idle_cpu_ms   context switches and CPU time of the daemon in 10 idle seconds
  join_ms      the annotations of one more Node are written -> its route is there, p50 and p99 of 200, one after the other
  join_cpu_ms, join_calls   for each of these, all that follows from it included
  beat_us, beat_bytes, beat_csw   of each of 400 statuses of Nodes, 20 a second, which change nothing: the daemon's CPU
               time, bytes received, context switches
Then, with 20 statuses a second going on, a tenth of the Nodes is deleted and as many others come, as fast as they can
be written:
  churn_ms     from the beginning until all that came are in the kernel, and until all that left are gone from it, looked
               at every 0.1 s;  written_ms  until all was written
  churn_cpu_ms, churn_rx_kb, churn_calls   of the daemon until 2 s later;  churn_rss_kb, churn_anon_kb,
               churn_peak_kb
"""
import json, os, re, sys, threading, time

from api_server import MOST_AT_ONCE, NUMBERS, STRATEGIC, ApiServer, name_of, status_patch, subnet_of
from daemon import Daemon, enter_namespace, run
from scale import JOINS, switches

BEATS, A_SECOND, LIMIT = 400, 20, 180


def received(daemon):
    """By its connections: whoever opens another meanwhile has less counted."""
    sockets = [line for line in run("ss", "-HtinpO").splitlines() if f"pid={daemon.pid}," in line]
    return sum(int(count) for line in sockets for count in re.findall(r"bytes_received:(\d+)", line))


def beat(server, api, number):
    api.ask("PATCH", f"/api/v1/nodes/{name_of(number)}/status", status_patch(), STRATEGIC, "kubelet")


def beats(server, daemon, numbers):
    cpu, rx, csw, begun = daemon.cpu_ms(), received(daemon), switches(daemon.pid), time.monotonic()
    for n in range(BEATS):
        beat(server, server.api, numbers[n % len(numbers)])
        time.sleep(max(begun + (n + 1) / A_SECOND - time.monotonic(), 0))
    time.sleep(0.5)
    return {"beat_us": round((daemon.cpu_ms() - cpu) * 1e3 / BEATS, 1), "beat_bytes": (received(daemon) - rx) // BEATS,
            "beat_csw": round((switches(daemon.pid) - csw) / BEATS, 1)}


class Background(threading.Thread):
    """Statuses of these Nodes until it is stopped."""

    def __init__(self, server, numbers):
        super().__init__()
        self.server, self.numbers, self.over = server, numbers, threading.Event()
        self.start()

    def run(self):
        api, n = self.server.client(), 0
        while not self.over.wait(1 / A_SECOND):
            beat(self.server, api, self.numbers[n % len(self.numbers)])
            n += 1

    def stop(self):
        self.over.set()
        self.join()


def subnets_there():
    return set(re.findall(r"^(\S+) ", run("ip", "-4", "route", "show", "dev", "flannel.1"), re.M))


def churn(server, daemon, peers):
    tenth = peers // 10
    leaving, coming = NUMBERS[:tenth], NUMBERS[peers + JOINS:peers + JOINS + tenth]
    background = Background(server, NUMBERS[tenth:peers])
    try:
        cpu, rx, calls, begun = daemon.cpu_ms(), received(daemon), len(server.calls()), time.monotonic()

        def since():
            return round((time.monotonic() - begun) * 1e3)

        server.change_nodes(put=coming, remove=leaving)
        out = {"written_ms": since()}
        come = gone = None
        while not (come and gone):
            time.sleep(0.1)
            there = subnets_there()
            if not come and there.issuperset(map(subnet_of, coming)):
                come = since()
            if not gone and there.isdisjoint(map(subnet_of, leaving)):
                gone = since()
            if since() > LIMIT * 1e3:
                break
        time.sleep(2)
        return out | {"churn_ms": [come, gone], "churn_cpu_ms": round(daemon.cpu_ms() - cpu, 1), "churn_rx_kb": (received(daemon) - rx) >> 10,
                      "churn_calls": len(server.calls()) - calls} | {f"churn_{key}": value for key, value in daemon.memory().items()}
    finally:
        background.stop()


def measure(kube, name, flanneld, peers):
    server, daemon = ApiServer(kube), None
    own, joiners = NUMBERS[-1], NUMBERS[peers:peers + JOINS]
    try:
        server.change_nodes(put=NUMBERS[:peers], put_bare=[own], at_once=MOST_AT_ONCE)
        server.wait_for(own)
        out = {"name": name, "nodes": peers, "node_bytes": len(server.whole), "list_ms": min(server.list_ms() for _ in range(3))}
        with open(f"{server.folder}/net-conf.json", "w") as file:
            json.dump({"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan"}}, file)
        daemon = Daemon([flanneld, "--kube-subnet-mgr", f"--kubeconfig-file={server.kubeconfig}", f"--net-config-path={server.folder}/net-conf.json"],
                        {"NODE_NAME": name_of(own)})
        out |= daemon.converge(peers)
        time.sleep(2)
        out |= {"rx_kb": received(daemon) >> 10, "calls": len(server.calls()), "which": server.calls()}
        time.sleep(5)
        out |= daemon.idle() | daemon.memory()
        server.change_nodes(put_bare=joiners)
        server.wait_for(joiners[-1])
        time.sleep(1)
        calls = len(server.calls())
        out |= daemon.joins(joiners, server.annotate)
        out["join_calls"] = round((len(server.calls()) - calls) / JOINS, 2)
        out |= beats(server, daemon, NUMBERS[:peers] or joiners)
        if peers:
            out |= churn(server, daemon, peers)
        print(json.dumps(out), flush=True)
    finally:
        if daemon:
            daemon.stop()
        server.stop()


def main():
    enter_namespace()
    for peers in map(int, sys.argv[2].split(",")):
        for binary in sys.argv[3:]:
            name, _, path = binary.partition("=")
            measure(sys.argv[1], name, os.path.abspath(path), peers)


if __name__ == "__main__":
    main()
