#!/usr/bin/env python3
"""How soon the overlay is back after its underlay was missing, however long, and what that costs meanwhile.

usage: outage.py BIN_DIRECTORY [PEERS[:SECONDS] ...]      (default 3:1 3:10 3:60 5000:1 5000:10 5000:60)
The device of the underlay is deleted, and with it the kernel deletes ours; links of pods come and go twice a second; after SECONDS
the device is made again. One line of JSON a case:
  device_ms    from then until our device is there again
  complete_ms  until the routes to all peers are
  away_cpu     processor time per second while the underlay was missing, in percent
  away_passes  passes meanwhile
  block_ms     the longest answer of the health page from its loss until all was back, kernel time included
"""
import http.client, json, os, signal, socket, subprocess, sys, tempfile, threading, time

from scale import NAMESPACE, Node, cpu_ms, run


def ip(*words, check=True):
    return run("ip", "-n", NAMESPACE, *words, check=check)


class Health(threading.Thread):
    """Asks for the health page over one connection, again and again."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.longest, self.ended = path, 0.0, False
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        while not self.ended:
            begun = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.002)


def make_underlay():
    batch = ("link add eth0 type veth peer name other\naddr add 198.18.0.2/15 dev eth0\nlink set other up\nlink set eth0 up\n"
             "route add default via 198.18.0.1\n")
    subprocess.run(["ip", "-n", NAMESPACE, "-batch", "-"], input=batch, text=True, check=True)


def wait_until(done, limit=120):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > limit:
            raise SystemExit("it does not come back")
        time.sleep(0.002)


def measure(binaries, peers, seconds):
    with tempfile.TemporaryDirectory(prefix="flannel-bench") as folder:
        run(f"{binaries}/fill_store", f"{folder}/leases.db", str(peers), "v4")
        node, daemon = Node(f"{binaries}/flanneld", folder), None
        try:
            daemon, _ = node.start()
            wait_until(lambda: node.routes() == peers)
            time.sleep(2)
            health = Health(f"{folder}/flanneld.sock")
            before, cpu, begun = node.kernel()["passes"], cpu_ms(daemon.pid), time.monotonic()
            ip("link", "del", "eth0")
            end = begun + seconds
            while time.monotonic() < end:
                ip("link", "add", "newpod0", "type", "veth", "peer", "name", "newpod1")
                time.sleep(0.25)
                ip("link", "del", "newpod0")
                time.sleep(0.25)
            away = time.monotonic() - begun
            out = {"peers": peers, "away_s": round(away, 1),
                   "away_cpu": round((cpu_ms(daemon.pid) - cpu) / away / 10, 2),
                   "away_passes": node.kernel()["passes"] - before}
            make_underlay()
            begun = time.monotonic()
            wait_until(lambda: ip("link", "show", "flannel.1", check=False))
            out["device_ms"] = round((time.monotonic() - begun) * 1e3, 1)
            wait_until(lambda: node.routes() == peers)
            out["complete_ms"] = round((time.monotonic() - begun) * 1e3, 1)
            health.ended = True
            health.join()
            out["block_ms"] = round(health.longest * 1e3, 1)
            print(json.dumps(out), flush=True)
        finally:
            if daemon and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(10)
            node.remove()


if __name__ == "__main__":
    for case in sys.argv[2:] or ["3:1", "3:10", "3:60", "5000:1", "5000:10", "5000:60"]:
        peers, _, seconds = case.partition(":")
        measure(sys.argv[1], int(peers), float(seconds or 10))
