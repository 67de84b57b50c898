#!/usr/bin/env python3
"""How long a daemon takes to have N peers in the kernel, and what that costs.

usage: scale.py BIN_DIRECTORY [PEERS[:MODE] ...]      (default 0 1000 5000)
MODE is v4 (the default), v6, dual, or host-gw. One line of JSON a case, from the local store, in a network namespace of
its own with 300 more links, as 150 pods have them:
  ready_ms     exec -> READY=1, which comes after the first complete pass
  routes       routes to peers that the kernel lists then: must be PEERS, twice that for dual
  cpu_ms       CPU time of the daemon until then
  rss_kb, peak_kb   resident memory four seconds later, and the most until then
  idle_csw, idle_cpu_ms   context switches and CPU time of the daemon in 10 idle seconds
  scrape_kb, scrape_cpu_ms, scrape_rss_kb   /metrics: its size, CPU time of the daemon for it, and what its resident
               memory has grown by after 100 of them
  join_ms      one more peer is written to the store -> its route is in the kernel: p50 and p99 of 200, somewhere among
               the others and one after the other
  join_cpu_ms  CPU time of the daemon for each of these, all that follows from it included
  join_ops     objects that it wrote
  restart_ms, restart_changes   the same start again with nothing changed: time, ops written
"""
import ctypes, json, os, random, re, signal, socket, struct, subprocess, sys, tempfile, time

CLONE_NEWNET = 0x40000000
RTM_NEWROUTE, GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE, MAIN_TABLE = 24, 0x40, 0x400, 254
LINKS, JOINS, PAUSE = 300, 200, 0.1  # seconds between two joins
SCRAPES = 100
NAMESPACE = f"flb{os.getpid()}"


def run(*words, check=True):
    return subprocess.run(words, check=check, text=True, capture_output=True).stdout


def cpu_ms(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    return total / 1e6


def status_value(pid, name):
    return int(re.search(rf"^{name}:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M)[1])


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        text = open(f"/proc/{pid}/task/{task}/status").read()
        total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return total


def joiners(peers):
    """Numbers of nodes that come between PEERS, which have even ones."""
    return random.Random(peers).sample(range(1, 2 * max(peers, JOINS), 2), JOINS)


def p50_p99(joins):
    return [round(sorted(joins)[len(joins) * percent // 100], 2) for percent in (50, 99)]


class Routes:
    """Counts the routes that are added in a namespace, as the kernel tells of them."""

    def __init__(self, path="/proc/self/ns/net"):
        here, there = open("/proc/self/ns/net"), open(path)
        setns = ctypes.CDLL(None).setns
        if setns(there.fileno(), CLONE_NEWNET) != 0:
            raise SystemExit(f"{path} cannot be entered")
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        setns(here.fileno(), CLONE_NEWNET)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((0, GROUP_IPV4_ROUTE | GROUP_IPV6_ROUTE))

    def wait(self, count, seconds):
        """Until COUNT routes to subnets came."""
        self.socket.settimeout(seconds)
        while count > 0:
            data, at = self.socket.recv(1 << 16), 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                count -= kind == RTM_NEWROUTE and data[at + 17] in (24, 64) and data[at + 20] == MAIN_TABLE
                at += (length + 3) & ~3
        return time.monotonic()


class Node:
    """A namespace with an underlay, and a daemon in it."""

    def __init__(self, flanneld, folder):
        self.flanneld, self.folder = flanneld, folder
        run("ip", "netns", "add", NAMESPACE)
        in_it = ["ip", "-n", NAMESPACE]
        run(*in_it, "link", "add", "eth0", "type", "veth", "peer", "name", "other")
        run(*in_it, "addr", "add", "198.18.0.2/15", "dev", "eth0")
        run(*in_it, "addr", "add", "fd99::2/64", "dev", "eth0", "nodad")
        for device in ("lo", "eth0", "other"):
            run(*in_it, "link", "set", device, "up")
        run(*in_it, "route", "add", "default", "via", "198.18.0.1")
        run(*in_it, "route", "add", "default", "via", "fd99::1", "dev", "eth0")
        lines = "".join(f"link add pod{n} type veth peer name peer{n}\n" for n in range(LINKS // 2))
        subprocess.run([*in_it, "-batch", "-"], input=lines, text=True, check=True)

    def start(self):
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = f"{self.folder}/notify"
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        ready.settimeout(120)
        log = open(f"{self.folder}/log", "a")
        begun = time.monotonic()
        daemon = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{NAMESPACE}", self.flanneld, f"--local-store={self.folder}/leases.db",
             f"--subnet-file={self.folder}/subnet.env", "--iface=eth0"],
            stdout=log, stderr=log, env={**os.environ, "NOTIFY_SOCKET": path})
        ready.recv(64)
        return daemon, (time.monotonic() - begun) * 1e3

    def page(self, path):
        return run("curl", "-s", "--unix-socket", f"{self.folder}/flanneld.sock", "http://localhost" + path)

    def kernel(self):
        return json.loads(self.page("/status"))["kernel"]

    def routes(self):
        lists = [run("ip", "-n", NAMESPACE, family, "route", "show", "proto", "70") for family in ("-4", "-6")]
        return sum(text.count("via") for text in lists)

    def join(self, binaries, number, mode):
        """One more peer: ms until it is in the kernel."""
        routes = Routes(f"/run/netns/{NAMESPACE}")
        begun = run(f"{binaries}/fill_store", f"{self.folder}/leases.db", str(number), mode, "join")
        return (routes.wait(2 if mode == "dual" else 1, 10) - float(begun)) * 1e3

    def remove(self):
        run("ip", "netns", "del", NAMESPACE, check=False)


def measure(binaries, peers, mode):
    with tempfile.TemporaryDirectory(prefix="flannel-bench") as folder:
        run(f"{binaries}/fill_store", f"{folder}/leases.db", str(peers), mode)
        node, daemon = Node(f"{binaries}/flanneld", folder), None
        try:
            daemon, ready_ms = node.start()
            out = {"peers": peers, "mode": mode, "ready_ms": round(ready_ms, 1), "cpu_ms": round(cpu_ms(daemon.pid), 1)}
            out["routes"] = node.routes()
            time.sleep(4)  # the underlay's own address detection is over by then
            out["rss_kb"], out["peak_kb"] = status_value(daemon.pid, "VmRSS"), status_value(daemon.pid, "VmHWM")
            before, cpu = switches(daemon.pid), cpu_ms(daemon.pid)
            time.sleep(10)
            out["idle_csw"] = switches(daemon.pid) - before
            out["idle_cpu_ms"] = round(cpu_ms(daemon.pid) - cpu, 2)
            cpu, memory = cpu_ms(daemon.pid), status_value(daemon.pid, "VmRSS")
            for _ in range(SCRAPES):
                out["scrape_kb"] = round(len(node.page("/metrics")) / 1e3, 1)
            out["scrape_cpu_ms"] = round((cpu_ms(daemon.pid) - cpu) / SCRAPES, 2)
            out["scrape_rss_kb"] = status_value(daemon.pid, "VmRSS") - memory
            changes, joins = node.kernel()["changes"], []
            cpu = cpu_ms(daemon.pid)
            for number in joiners(peers):
                joins.append(node.join(binaries, number, mode))
                time.sleep(PAUSE)
            time.sleep(6)  # what is written later is written
            out["join_cpu_ms"] = round((cpu_ms(daemon.pid) - cpu) / JOINS, 2)
            out["join_ms"] = p50_p99(joins)
            out["join_ops"] = (node.kernel()["changes"] - changes) / JOINS
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(10)
            daemon, restart_ms = node.start()
            out["restart_ms"], out["restart_changes"] = round(restart_ms, 1), node.kernel()["changes"]
            print(json.dumps(out), flush=True)
        finally:
            if daemon and daemon.poll() is None:
                daemon.terminate()
                daemon.wait(10)
            node.remove()


if __name__ == "__main__":
    for case in sys.argv[2:] or ["0", "1000", "5000"]:
        peers, _, mode = case.partition(":")
        measure(sys.argv[1], int(peers), mode or "v4")
