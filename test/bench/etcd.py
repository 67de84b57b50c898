#!/usr/bin/env python3
"""What a daemon costs with leases in a real etcd, beside any other flanneld.

usage: etcd.py PEERS[:dual][,...] NAME=FLANNELD [NAME=FLANNELD ...]
Everything runs in one network namespace of its own, with 300 more links, as 150 pods have them. One line of JSON a case:
  subnet_ms    exec -> subnet.env is there
  all_ms       exec -> the routes, neighbours and FDB entries of all peers are in the kernel, looked at every 5 ms by
               the number of routes and then counted
  cpu_ms       CPU time of the daemon until then;  rss_kb, peak_kb  resident memory when idle, and the most
  calls        calls to etcd until then
  join_ms      put of one more lease -> its routes are there, p50 and p99 of 200, somewhere among the others and one
               after the other
  join_cpu_ms  CPU time of the daemon for each of these, all that follows from it included
  join_calls   calls to etcd for each of these
  idle_csw, idle_cpu_ms   context switches and CPU time of the daemon in 10 idle seconds
"""
import base64, hashlib, http.client, json, os, re, shutil, subprocess, sys, tempfile, time

from scale import JOINS, LINKS, PAUSE, Routes, cpu_ms, joiners, p50_p99, status_value, switches

PREFIX = "/coreos.com/network"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def run(*words):
    return subprocess.run(words, text=True, capture_output=True).stdout


class Etcd:
    def __init__(self, dual):
        self.dual = dual
        # In memory: a disk's time is not what is measured.
        self.folder = tempfile.mkdtemp(prefix="flannel-bench-etcd", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        urls = ["--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379"]
        self.server = subprocess.Popen([os.environ.get("FLANNEL_ETCD", "etcd"), f"--data-dir={self.folder}", *urls, "--listen-peer-urls=http://127.0.0.1:2380"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.http = http.client.HTTPConnection("127.0.0.1", 2379, timeout=20)
                self.ask("kv/range", key=b64("x"))
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("etcd does not start")

    def ask(self, path, **body):
        self.http.request("POST", f"/v3/{path}", json.dumps(body))
        return json.loads(self.http.getresponse().read())

    def put_peer(self, number, lease):
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
        self.ask("kv/put", key=b64(f"{PREFIX}/subnets/{key}"), value=b64(json.dumps(value)), lease=lease)

    def fill(self, peers):
        config = {"Network": "10.0.0.0/8", "SubnetLen": 24, "SubnetMin": "10.1.0.0", "SubnetMax": "10.60.255.0",
                  "Backend": {"Type": "vxlan"}}
        if self.dual:
            config |= {"EnableIPv6": True, "IPv6Network": "fc00:5::/32", "IPv6SubnetLen": 64,
                       "IPv6SubnetMin": "fc00:5:0:1::", "IPv6SubnetMax": "fc00:5:0:ff::"}
        self.ask("kv/put", key=b64(f"{PREFIX}/config"), value=b64(json.dumps(config)))
        self.lease = self.ask("lease/grant", TTL=86400)["ID"]
        for number in range(peers):
            self.put_peer(2 * number, self.lease)

    def calls(self):
        ask = http.client.HTTPConnection("127.0.0.1", 2379)
        ask.request("GET", "/metrics")
        text = ask.getresponse().read().decode()
        pattern = r'grpc_server_started_total\{grpc_method="(?:Range|Txn|Lease\w+|Watch|Put)",[^}]*\} ([0-9.e+]+)'
        return sum(int(float(count)) for count in re.findall(pattern, text))

    def stop(self):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def objects():
    routes = run("ip", "-4", "route", "show", "dev", "flannel.1").count("via")
    neighbours = run("ip", "-4", "neigh", "show", "dev", "flannel.1", "nud", "permanent").count("lladdr")
    return min(routes, neighbours, run("bridge", "fdb", "show", "dev", "flannel.1").count(" dst "))


def join(etcd, number):
    routes = Routes()
    begun = time.monotonic()
    etcd.put_peer(number, etcd.lease)
    routes.wait(2 if etcd.dual else 1, 10)
    return (time.monotonic() - begun) * 1e3


def measure(name, flanneld, peers, mode):
    etcd, folder, daemon = Etcd(mode == "dual"), tempfile.mkdtemp(prefix="flannel-bench"), None
    try:
        etcd.fill(peers)
        before, routes, log = etcd.calls(), Routes(), open(f"{folder}/log", "w")
        begun = time.monotonic()
        daemon = subprocess.Popen([flanneld, f"--subnet-file={folder}/subnet.env", "--iface=eth0",
                                   "--etcd-endpoints=http://127.0.0.1:2379"], stdout=log, stderr=log,
                                  env={**os.environ, "FLANNELD_STATE_DIR": folder})
        while not os.path.exists(f"{folder}/subnet.env"):
            time.sleep(0.001)
        out = {"name": name, "peers": peers, "mode": mode or "v4", "subnet_ms": round((time.monotonic() - begun) * 1e3, 1)}
        routes.wait(2 * peers if etcd.dual else peers, 300)
        while objects() < peers:
            time.sleep(0.005)
        out["all_ms"], out["cpu_ms"] = round((time.monotonic() - begun) * 1e3, 1), round(cpu_ms(daemon.pid), 1)
        time.sleep(2)
        out["calls"] = etcd.calls() - before
        time.sleep(5)  # the last known state is written by then
        csw, cpu = switches(daemon.pid), cpu_ms(daemon.pid)
        time.sleep(10)
        out["idle_csw"], out["idle_cpu_ms"] = switches(daemon.pid) - csw, round(cpu_ms(daemon.pid) - cpu, 2)
        out["rss_kb"], out["peak_kb"] = status_value(daemon.pid, "VmRSS"), status_value(daemon.pid, "VmHWM")
        before, cpu, joins = etcd.calls(), cpu_ms(daemon.pid), []
        for number in joiners(peers):
            joins.append(join(etcd, number))
            time.sleep(PAUSE)
        time.sleep(6)  # what is written later is written
        out["join_cpu_ms"] = round((cpu_ms(daemon.pid) - cpu) / JOINS, 2)
        out["join_ms"] = p50_p99(joins)
        out["join_calls"] = round((etcd.calls() - before) / JOINS - 1, 1)  # one is our put
        print(json.dumps(out), flush=True)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait(20)
        etcd.stop()
        shutil.rmtree(folder)
        for device in ("flannel.1", "flannel-v6.1"):
            run("ip", "link", "del", device)


def main():
    if os.environ.get("FLANNEL_BENCH_INSIDE") is None:
        os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], {**os.environ, "FLANNEL_BENCH_INSIDE": "1"})
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    run("ip", "addr", "add", "198.18.0.2/15", "dev", "eth0")
    run("ip", "addr", "add", "fd99::2/64", "dev", "eth0", "nodad")
    for device in ("eth0", "other"):
        run("ip", "link", "set", device, "up")
    lines = "".join(f"link add pod{n} type veth peer name peer{n}\n" for n in range(LINKS // 2))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    time.sleep(3)  # the underlay's own address detection is over by then
    for case in sys.argv[1].split(","):
        peers, _, mode = case.partition(":")
        for binary in sys.argv[2:]:
            name, _, path = binary.partition("=")
            measure(name, os.path.abspath(path), int(peers), mode)


if __name__ == "__main__":
    main()
