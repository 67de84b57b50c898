#!/usr/bin/env python3
"""What a daemon costs with leases in a real etcd, beside any other flanneld.

usage: etcd.py PEERS[:dual][,...] NAME=FLANNELD [NAME=FLANNELD ...]
Everything runs in one network namespace of its own, with 300 more links, as 150 pods have them. One line of JSON a case:
  subnet_ms    exec -> subnet.env is there
  all_ms       exec -> the routes, neighbours and FDB entries of all peers are in the kernel, looked at every 5 ms by
               the number of routes and then counted
  cpu_ms       CPU time of the daemon until then;  rss_kb, anon_kb, peak_kb  resident memory when idle, what
               of it is no page of a file, and the most
  calls        calls to etcd until then
  join_ms      put of one more lease -> its routes are there, p50 and p99 of 200, somewhere among the others and one
               after the other
  join_cpu_ms  CPU time of the daemon for each of these, all that follows from it included
  join_calls   calls to etcd for each of these
  idle_csw, idle_cpu_ms   context switches and CPU time of the daemon in 10 idle seconds
"""
import hashlib, http.client, json, os, re, sys, time

from daemon import Daemon, enter_namespace
from etcd_server import EtcdServer, b64
from scale import JOINS, joiners

PREFIX = "/coreos.com/network"


class Leases(EtcdServer):
    def __init__(self, dual):
        self.dual = dual
        super().__init__()

    def put_peer(self, number):
        # As real ones: in no order, which is what tables of thousands of them cost.
        def data(family):
            mac = hashlib.sha256(f"{family} {number}".encode()).digest()[:5]
            return {"VNI": 1, "VtepMAC": "02:" + mac.hex(":")}

        value = {"PublicIP": f"198.19.{number >> 8}.{number & 255}", "PublicIPv6": None, "BackendType": "vxlan",
                 "BackendData": data(4)}
        key = f"10.{64 + (number >> 8)}.{number & 255}.0-24"
        if self.dual:
            value |= {"PublicIPv6": f"fd99::1:{number + 1:x}", "BackendV6Data": data(6)}
            key += f"&fc00:5:1:{number + 1:x}::-64"
        self.ask("kv/put", key=b64(f"{PREFIX}/subnets/{key}"), value=b64(json.dumps(value)), lease=self.lease)

    def fill(self, peers):
        config = {"Network": "10.0.0.0/8", "SubnetLen": 24, "SubnetMin": "10.1.0.0", "SubnetMax": "10.60.255.0",
                  "Backend": {"Type": "vxlan"}}
        if self.dual:
            config |= {"EnableIPv6": True, "IPv6Network": "fc00:5::/32", "IPv6SubnetLen": 64,
                       "IPv6SubnetMin": "fc00:5:0:1::", "IPv6SubnetMax": "fc00:5:0:ff::"}
        self.ask("kv/put", key=b64(f"{PREFIX}/config"), value=b64(json.dumps(config)))
        self.lease = self.ask("lease/grant", TTL=86400)["ID"]
        for number in range(peers):
            self.put_peer(2 * number)

    def calls(self):
        ask = http.client.HTTPConnection("127.0.0.1", 2379)
        ask.request("GET", "/metrics")
        text = ask.getresponse().read().decode()
        pattern = r'grpc_server_started_total\{grpc_method="(?:Range|Txn|Lease\w+|Watch|Put)",[^}]*\} ([0-9.e+]+)'
        return sum(int(float(count)) for count in re.findall(pattern, text))


def measure(name, flanneld, peers, mode):
    etcd, daemon = Leases(mode == "dual"), None
    routes_each = 2 if etcd.dual else 1
    try:
        etcd.fill(peers)
        before = etcd.calls()
        daemon = Daemon([flanneld, f"--etcd-endpoints={etcd.URL}"])
        out = {"name": name, "peers": peers, "mode": mode or "v4"} | daemon.converge(peers, routes_each)
        time.sleep(2)
        out["calls"] = etcd.calls() - before
        time.sleep(5)  # the last known state is written by then
        out |= daemon.idle() | daemon.memory()
        before = etcd.calls()
        out |= daemon.joins(joiners(peers), etcd.put_peer, routes_each)
        out["join_calls"] = round((etcd.calls() - before) / JOINS - 1, 1)  # one is our put
        print(json.dumps(out), flush=True)
    finally:
        if daemon:
            daemon.stop()
        etcd.stop()


def main():
    enter_namespace()
    for case in sys.argv[1].split(","):
        peers, _, mode = case.partition(":")
        for binary in sys.argv[2:]:
            name, _, path = binary.partition("=")
            measure(name, os.path.abspath(path), int(peers), mode)


if __name__ == "__main__":
    main()
