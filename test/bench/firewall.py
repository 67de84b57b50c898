#!/usr/bin/env python3
"""What masquerading costs a node, and how soon its rules are back, beside any other flanneld.

usage: firewall.py FLANNELCTL NAME=FLANNELD [NAME=FLANNELD ...]
A lab with one node, IPv4 and IPv6, its leases in an etcd; each daemon in turn, with iptables and with nftables. Nobody
but the first is asked how soon rules are back. One line of JSON a case:
  start_cpu_ms     CPU time of the daemon and of what it started in the 3 seconds from its start, the median of 5: where
                   there are no rules yet, and where they are as the same daemon left them
  lost             of new flows out of the overlay, a thousand a second, those seen with a pod's address or not at all
                   while the daemon is stopped and started, and how many there were: v4, v6
  idle_cpu_ms, idle_csw   in 60 seconds, processes it started included;  idle_processes  how many it started in 20
  rss_kb           resident memory then
  CASE_ms          how long rules were missing, p50 and p99 of 50, v4 and v6 in turn; busy: 20,000 rules of others there
"""
import ctypes, json, os, re, socket, struct, subprocess, sys, time

from scale import cpu_ms as own_cpu_ms, p50_p99, status_value, switches

LAB, NAME = "fwbench", "--name=fwbench"
ADDRESSES = {4: ("198.18.0.100", "198.18.0.11"), 6: ("fd99::100", "fd99::11")}
SAMPLES, PAUSE, FOREIGN = 50, 0.8, 20000

SEND = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
start = time.monotonic()
for n in range(int(float(sys.argv[2]) * 1000)):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        try: s.sendto(b"?", (sys.argv[1], 7777))
        except OSError: pass
    wait = start + (n + 1) / 1000 - time.monotonic()
    if wait > 0: time.sleep(wait)
print(n + 1)"""
RECEIVE = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
s.bind((sys.argv[1], 7777)); s.settimeout(.2); right = 0
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    try: right += s.recvfrom(64)[1][0] == sys.argv[2]
    except OSError: pass
print(right)"""


class Rules:
    """How many rules a chain of n1 has, by nfnetlink."""

    def __init__(self):
        libc, own = ctypes.CDLL(None, use_errno=True), os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{LAB}-n1", os.O_RDONLY)
        assert libc.setns(there, 0) == 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        assert libc.setns(own, 0) == 0
        os.close(own)
        os.close(there)

    def count(self, family, table, chain):
        def text(kind, value):
            data = value.encode() + b"\0"
            return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

        body = struct.pack("=BBH", 2 if family == 4 else 10, 0, 0) + text(1, table) + text(2, chain)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | 7, 0x301, 1, 0) + body)
        found = 0
        while True:
            data = self.socket.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind in (2, 3):
                    return found
                found += 1
                data = data[length + 3 & ~3:]


def lab(*words):
    return subprocess.run([sys.argv[1], "lab", *words, NAME], check=True, text=True, capture_output=True).stdout


def on(place, *command):
    return ["ip", "netns", "exec", f"{LAB}-{place}", *command]


def run(*command, **more):
    return subprocess.run(on("n1", *command), text=True, capture_output=True, **more)


def daemon_pid():
    return int(re.search(r"^n1 +(\d+)", lab("status"), re.M).group(1))


def cpu_ms(pid):
    """The daemon's and, as soon as they have ended, that of the processes it started."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return own_cpu_ms(pid) + (int(fields[13]) + int(fields[14])) * 1e3 / os.sysconf("SC_CLK_TCK")


def flush_rules():
    run("nft", "flush", "ruleset")


def start(flanneld, wait=3):
    lab("start", "n1", "--flanneld", flanneld)
    time.sleep(wait)
    return daemon_pid()


def stop():
    lab("stop", "n1")


def flows(family, disturb, seconds):
    target, source = ADDRESSES[family]
    receiver = subprocess.Popen(on("out", sys.executable, "-c", RECEIVE, target, source, str(seconds + 1)), stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    sender = subprocess.Popen(on("p1", sys.executable, "-c", SEND, target, str(seconds)), stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    disturb()
    sent = int(sender.communicate()[0])
    return [sent - int(receiver.communicate()[0]), sent]


def processes(pid, seconds):
    trace = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=execve", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    trace.terminate()
    return trace.communicate()[1].count("execve(")


def measure(name, flanneld, tool):
    def start_cpu(prepare):
        samples = []
        for _ in range(5):
            stop()
            prepare()
            samples.append(cpu_ms(start(flanneld)))
        return round(sorted(samples)[2], 1)

    out = {"name": name, "tool": tool, "start_cpu_ms": [start_cpu(flush_rules), start_cpu(lambda: None)]}

    def restart():
        stop()
        start(flanneld, 0)

    out["lost"] = {f"v{family}": flows(family, restart, 4) for family in ADDRESSES}
    time.sleep(2)
    pid = daemon_pid()
    csw, cpu = switches(pid), cpu_ms(pid)
    time.sleep(60)
    out |= {"idle_csw": switches(pid) - csw, "idle_cpu_ms": round(cpu_ms(pid) - cpu, 1), "rss_kb": status_value(pid, "VmRSS"),
            "idle_processes": processes(pid, 20)}
    print(json.dumps(out), flush=True)


def missing_ms(rules, place, whole, command):
    """From when a look finds that rules are missing until one finds that they are back; 0 where none found it."""
    process, missing_since = subprocess.Popen(on("n1", *command), stdout=subprocess.DEVNULL), None
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        ended = process.poll() is not None
        now, is_whole = time.monotonic(), rules.count(*place) == whole
        if not is_whole and missing_since is None:
            missing_since = now
        if is_whole and (missing_since or ended):
            process.wait()
            return (now - missing_since) * 1e3 if missing_since else 0
    raise SystemExit(f"not healed: {command}")


def sabotage(tool, what, family):
    ip, program = ("ip", "iptables") if family == 4 else ("ip6", "ip6tables")
    if tool == "nftables":
        table = f"flannel-ipv{family}"
        place = (family, table, "postrtg")
        return place, (["nft", "flush", "chain", ip, table, "postrtg"] if what == "flushed chain" else ["nft", "delete", "table", ip, table])
    if what == "flushed chain":
        return (family, "nat", "FLANNEL-POSTRTG"), [program, "-t", "nat", "-F", "FLANNEL-POSTRTG"]
    if what == "deleted jump":
        return (family, "nat", "POSTROUTING"), [program, "-t", "nat", "-D", "POSTROUTING", "1"]
    return (family, "nat", "FLANNEL-POSTRTG"), ["nft", "delete", "table", ip, "nat"]


def add_foreign_rules():
    """As kube-proxy has them, in the table that is iptables' too."""
    text = "*nat\n:SERVICES - [0:0]\n" + "".join(
        f"-A SERVICES -d 10.96.{n >> 8}.{n & 255}/32 -p tcp -m tcp --dport 80 -m comment --comment service{n} -j RETURN\n"
        for n in range(FOREIGN)) + "COMMIT\n"
    run("iptables-restore", "--noflush", input=text, check=True)
    run("ip6tables-restore", "--noflush", input=re.sub(r"-d 10\.96\.(\d+)\.(\d+)/32", r"-d fd00:96::\1:\2/128", text), check=True)


def heal(name, flanneld, tool):
    out = {"name": name, "tool": tool}
    rules = Rules()
    for busy in ("", " busy"):
        if busy:
            add_foreign_rules()
            time.sleep(5)
        for what in ("flushed chain", "deleted jump", "deleted table"):
            if (tool, what) == ("nftables", "deleted jump") or (tool, what, busy) == ("iptables", "deleted table", " busy"):
                continue  # there is none; and those of others would be gone with it
            took = []
            for n in range(SAMPLES):
                place, command = sabotage(tool, what, 4 if n % 2 else 6)
                took.append(missing_ms(rules, place, rules.count(*place), command))
                time.sleep(PAUSE)
            out[f"{what}{busy}_ms"] = p50_p99(took)
    out["busy_rss_kb"], out["busy_peak_kb"] = (status_value(daemon_pid(), field) for field in ("VmRSS", "VmHWM"))
    print(json.dumps(out), flush=True)


def main():
    daemons = [argument.partition("=")[::2] for argument in sys.argv[2:]]
    for tool in ("iptables", "nftables"):
        lab("up", "--nodes", "1", "--dual-stack", "--store", "etcd", *(["--nftables"] if tool == "nftables" else []))
        try:
            for name, path in daemons:
                measure(name, os.path.abspath(path), tool)
            stop()
            flush_rules()
            start(os.path.abspath(daemons[0][1]))
            heal(daemons[0][0], os.path.abspath(daemons[0][1]), tool)
        finally:
            lab("down")


if __name__ == "__main__":
    main()
