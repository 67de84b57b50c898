#!/usr/bin/env python3
"""What a daemon costs with leases in a real etcd, beside any other flanneld.

usage: etcd.py PEERS[,PEERS...] NAME=FLANNELD [NAME=FLANNELD ...]
Everything runs in one network namespace of its own, with 300 more links, as 150 pods have them. One line of JSON a case:
  subnet_ms    exec -> subnet.env is there
  all_ms       exec -> the routes, neighbours and FDB entries of all peers are in the kernel, looked at every 5 ms by
               the number of routes and then counted
  cpu_ms       CPU time of the daemon until then;  rss_kb, peak_kb  resident memory when idle, and the most
  calls        calls to etcd until then
  join_ms      put of one more lease -> its route is there, median and longest of 40, somewhere among the others and
               one after the other
  join_cpu_ms  CPU time of the daemon for each of these, all that follows from it included
  join_calls   calls to etcd for each of these
  idle_csw, idle_cpu_ms   context switches and CPU time of the daemon in 10 idle seconds
"""
import base64, hashlib, http.client, json, os, re, shutil, subprocess, sys, tempfile, time

from scale import JOINS, LINKS, Routes, cpu_ms, joiners, status_value, switches

PREFIX = "/coreos.com/network"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def run(*words):
    return subprocess.run(words, text=True, capture_output=True).stdout


class Etcd:
    def __init__(self):
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
        mac = "02:" + hashlib.sha256(str(number).encode()).digest()[:5].hex(":")
        value = {"PublicIP": f"198.19.{number >> 8}.{number & 255}", "PublicIPv6": None, "BackendType": "vxlan",
                 "BackendData": {"VNI": 1, "VtepMAC": mac}}
        subnet = f"10.{64 + (number >> 8)}.{number & 255}"
        self.ask("kv/put", key=b64(f"{PREFIX}/subnets/{subnet}.0-24"), value=b64(json.dumps(value)), lease=lease)
        return subnet

    def fill(self, peers):
        config = {"Network": "10.0.0.0/8", "SubnetLen": 24, "SubnetMin": "10.1.0.0", "SubnetMax": "10.60.255.0",
                  "Backend": {"Type": "vxlan"}}
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
    routes.wait(1, 10)
    return (time.monotonic() - begun) * 1e3


def measure(name, flanneld, peers):
    etcd, folder, daemon = Etcd(), tempfile.mkdtemp(prefix="flannel-bench"), None
    try:
        etcd.fill(peers)
        before, routes, log = etcd.calls(), Routes(), open(f"{folder}/log", "w")
        begun = time.monotonic()
        daemon = subprocess.Popen([flanneld, f"--subnet-file={folder}/subnet.env", "--iface=eth0",
                                   "--etcd-endpoints=http://127.0.0.1:2379"], stdout=log, stderr=log,
                                  env={**os.environ, "FLANNELD_STATE_DIR": folder})
        while not os.path.exists(f"{folder}/subnet.env"):
            time.sleep(0.001)
        out = {"name": name, "peers": peers, "subnet_ms": round((time.monotonic() - begun) * 1e3, 1)}
        routes.wait(peers, 120)
        while objects() < peers:
            time.sleep(0.005)
        out["all_ms"], out["cpu_ms"] = round((time.monotonic() - begun) * 1e3, 1), round(cpu_ms(daemon.pid), 1)
        time.sleep(2)
        out["calls"] = etcd.calls() - before
        time.sleep(2)
        csw, cpu = switches(daemon.pid), cpu_ms(daemon.pid)
        time.sleep(10)
        out["idle_csw"], out["idle_cpu_ms"] = switches(daemon.pid) - csw, round(cpu_ms(daemon.pid) - cpu, 2)
        out["rss_kb"], out["peak_kb"] = status_value(daemon.pid, "VmRSS"), status_value(daemon.pid, "VmHWM")
        before, cpu, joins = etcd.calls(), cpu_ms(daemon.pid), []
        for number in joiners(peers):
            joins.append(join(etcd, number))
            time.sleep(0.2)
        time.sleep(3)
        out["join_cpu_ms"] = round((cpu_ms(daemon.pid) - cpu) / JOINS, 2)
        out["join_ms"] = [round(ms, 2) for ms in (sorted(joins)[JOINS // 2], max(joins))]
        out["join_calls"] = round((etcd.calls() - before) / JOINS - 1, 1)  # one is our put
        print(json.dumps(out), flush=True)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait(20)
        etcd.stop()
        shutil.rmtree(folder)
        run("ip", "link", "del", "flannel.1")


def main():
    if os.environ.get("FLANNEL_BENCH_INSIDE") is None:
        os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], {**os.environ, "FLANNEL_BENCH_INSIDE": "1"})
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    run("ip", "addr", "add", "198.18.0.2/15", "dev", "eth0")
    for device in ("eth0", "other"):
        run("ip", "link", "set", device, "up")
    lines = "".join(f"link add pod{n} type veth peer name peer{n}\n" for n in range(LINKS // 2))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    time.sleep(3)  # the underlay's own address detection is over by then
    for peers in sys.argv[1].split(","):
        for binary in sys.argv[2:]:
            name, _, path = binary.partition("=")
            measure(name, os.path.abspath(path), int(peers))


if __name__ == "__main__":
    main()
