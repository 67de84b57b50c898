#!/usr/bin/env python3
"""What restarts and sabotage cost: packets lost out of 1,000 a second, from pod to pod.

usage: heal.py BIN_DIRECTORY
One line of JSON: for each disturbance of node n1, packets sent and lost. A lost packet is a millisecond without
connection, so the number lost is also the time to heal, in ms.
"""
import json, subprocess, sys, time

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 7777)); start = time.monotonic()
for n in range(int(float(sys.argv[2]) * 1000)):
    try: s.send(b"%d" % n)
    except OSError: pass
    wait = start + (n + 1) / 1000 - time.monotonic()
    if wait > 0: time.sleep(wait)
print(n + 1)"""
RECEIVE = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 7777)); s.settimeout(.2); got = set()
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


def pods():
    lines = lab("status").splitlines()
    return [line.split()[3] for line in lines if line.startswith("n") and line.split()[0][1:].isdigit()]


def flood(source, target, seconds, disturb):
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
    # `ip route flush` of iproute2 6.1 fails on routes through nexthop objects: it sends them back as it read them.
    routes = subprocess.run(["ip", "-n", "heal-n1", "-j", "route", "show", "dev", "flannel.1"], capture_output=True, text=True)
    lines = "".join(f"route del {route['dst']}\n" for route in json.loads(routes.stdout))
    subprocess.run(["ip", "-n", "heal-n1", "-batch", "-"], input=lines, text=True, check=True)


DISTURBANCES = {
    "nothing": lambda: None,
    "restart": lambda: restart(),
    "kill -9 and start": lambda: restart("--kill"),
    "link set down": ip("link", "set", "flannel.1", "down"),
    "link del": ip("link", "del", "flannel.1"),
    "route flush": flush_routes,
    "addr flush": ip("addr", "flush", "dev", "flannel.1"),
    "neigh flush": ip("neigh", "flush", "dev", "flannel.1", "nud", "permanent"),
    "fdb flush": lambda: subprocess.run(["bridge", "-n", "heal-n1", "fdb", "flush", "dev", "flannel.1"], check=True),
    "nexthop flush": ip("nexthop", "flush", "proto", "70"),
}


def main():
    lab("up", "--nodes", "2")
    try:
        source, target = pods()
        out = {name: flood(source, target, 3, disturb) for name, disturb in DISTURBANCES.items()}
        print(json.dumps(out))
    finally:
        lab("down")


if __name__ == "__main__":
    main()
