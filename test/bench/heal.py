#!/usr/bin/env python3
"""What restarts and sabotage cost: packets lost out of 1,000 a second, from pod to pod.

usage: heal.py BIN_DIRECTORY [MODE ...]      (v4, v6, dual, host-gw; default v4)
One line of JSON a mode: for each disturbance of node n1, packets sent and lost. A lost packet is a millisecond without
connection, so the number lost is also the time to heal, in ms.
"""
import json, subprocess, sys, time

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 7777)); start = time.monotonic()
for n in range(int(float(sys.argv[2]) * 1000)):
    try: s.send(b"%d" % n)
    except OSError: pass
    wait = start + (n + 1) / 1000 - time.monotonic()
    if wait > 0: time.sleep(wait)
print(n + 1)"""
RECEIVE = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 7777)); s.settimeout(.2); got = set()
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try: got.add(s.recv(64))
    except OSError: pass
print(len(got))"""

CTL = [f"{sys.argv[1]}/flannelctl", "lab"]
NAME = "--name=heal"


def lab(*words):
    return subprocess.run([*CTL, *words, NAME], check=True, text=True, capture_output=True).stdout


def on(place, *command):
    return ["ip", "netns", "exec", f"heal-{place}", *command]


OPTIONS = {"v4": [], "v6": ["--ipv6"], "dual": ["--dual-stack"], "host-gw": ["--backend", "host-gw"]}


def target_of(mode):
    """p2's address, in dual stack the IPv6 one."""
    family = "inet6" if mode in ("v6", "dual") else "inet"
    links = json.loads(subprocess.run(["ip", "-n", "heal-p2", "-j", "addr", "show", "eth0"], capture_output=True).stdout)
    return next(a["local"] for a in links[0]["addr_info"] if a["family"] == family and a["scope"] == "global")


def flood(target, seconds, disturb):
    """Sends from p1 to p2, disturbs after half a second; packets sent and lost."""
    receiver = subprocess.Popen(on("p2", sys.executable, "-c", RECEIVE, target, str(seconds + 1)), stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    sender = subprocess.Popen(on("p1", sys.executable, "-c", SEND, target, str(seconds)), stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    disturb()
    sent = int(sender.communicate()[0])
    return {"sent": sent, "lost": sent - int(receiver.communicate()[0])}


def restart(*how):
    lab("stop", "n1", *how)
    time.sleep(0.3)
    lab("start", "n1")


def ip(*words):
    return lambda: subprocess.run(["ip", "-n", "heal-n1", *words], check=True)


def flush_routes():
    for family in ("-4", "-6"):
        subprocess.run(["ip", "-n", "heal-n1", family, "route", "flush", "proto", "70"], check=True)


def disturbances(mode):
    out = {
        "nothing": lambda: None,
        "restart": lambda: restart(),
        "kill -9 and start": lambda: restart("--kill"),
        "route flush": flush_routes,
    }
    if mode != "host-gw":
        device = "flannel.1" if mode == "v4" else "flannel-v6.1"
        out |= {
            "link set down": ip("link", "set", device, "down"),
            "link del": ip("link", "del", device),
            "addr flush": ip("addr", "flush", "dev", device, "scope", "global"),
            "neigh flush": ip("neigh", "flush", "dev", device, "nud", "permanent"),
            "fdb flush": lambda: subprocess.run(["bridge", "-n", "heal-n1", "fdb", "flush", "dev", device], check=True),
        }
    return out


def main(mode):
    lab("up", "--nodes", "2", *OPTIONS[mode])
    try:
        target = target_of(mode)
        print(json.dumps({"mode": mode} | {name: flood(target, 3, disturb) for name, disturb in disturbances(mode).items()}), flush=True)
    finally:
        lab("down")


if __name__ == "__main__":
    for wanted in sys.argv[2:] or ["v4"]:
        main(wanted)
