"""A flanneld, ours or any other, in a network namespace that its benchmark has for itself."""
import os, shutil, subprocess, sys, tempfile, time

from etcd_server import memory_folder
from scale import JOINS, LINKS, PAUSE, Routes, cpu_ms, p50_p99, status_value, switches


def run(*words):
    return subprocess.run(words, text=True, capture_output=True).stdout


def enter_namespace():
    """Starts the program again in one of its own: with an underlay, and 300 more links, as 150 pods have them."""
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


def objects():
    """Peers that have all that they need in the kernel."""
    routes = run("ip", "-4", "route", "show", "dev", "flannel.1").count("via")
    neighbours = run("ip", "-4", "neigh", "show", "dev", "flannel.1", "nud", "permanent").count("lladdr")
    return min(routes, neighbours, run("bridge", "fdb", "show", "dev", "flannel.1").count(" dst "))


class Daemon:
    """With files of its own, which go with it."""

    def __init__(self, command, env=None):
        self.folder = tempfile.mkdtemp(prefix="flannel-bench")
        self.subnet_file = f"{memory_folder()}/subnet.env"  # as /run is: it is synced before it is there
        self.routes = Routes()
        with open(f"{self.folder}/log", "w") as log:
            self.begun = time.monotonic()
            self.process = subprocess.Popen([*command, f"--subnet-file={self.subnet_file}", "--iface=eth0"], stdout=log, stderr=log,
                                            env={**os.environ, "FLANNELD_STATE_DIR": self.folder, **(env or {})})
        self.pid = self.process.pid

    def cpu_ms(self):
        return cpu_ms(self.pid)

    def _fail(self, what):
        raise SystemExit(f"{self.process.args[0]} {what}:\n" + open(f"{self.folder}/log").read()[-3000:])

    def _wait(self, routes, count, seconds):
        try:
            return routes.wait(count, seconds)
        except TimeoutError:
            return self._fail(f"has not all routes after {seconds} s")

    def since_exec_ms(self):
        return round((time.monotonic() - self.begun) * 1e3, 1)

    def converge(self, peers, routes_each=1):
        while not os.path.exists(self.subnet_file):
            if self.process.poll() is not None:
                self._fail("has ended")
            time.sleep(0.001)
        out = {"subnet_ms": self.since_exec_ms()}
        self._wait(self.routes, routes_each * peers, 300)
        while objects() < peers:
            time.sleep(0.005)
        return out | {"all_ms": self.since_exec_ms(), "cpu_ms": round(self.cpu_ms(), 1)}

    def memory(self):
        """Resident, what of that is no page of a file, and the most that was resident."""
        return {f"{name}_kb": status_value(self.pid, field) for name, field in (("rss", "VmRSS"), ("anon", "RssAnon"), ("peak", "VmHWM"))}

    def idle(self):
        csw, cpu = switches(self.pid), self.cpu_ms()
        time.sleep(10)
        return {"idle_csw": switches(self.pid) - csw, "idle_cpu_ms": round(self.cpu_ms() - cpu, 2)}

    def joins(self, numbers, put, routes_each=1):
        """One after the other: from the beginning of PUT to the routes in the kernel."""
        took, cpu = [], self.cpu_ms()
        for number in numbers:
            routes, begun = Routes(), time.monotonic()
            put(number)
            took.append((self._wait(routes, routes_each, 30) - begun) * 1e3)
            time.sleep(PAUSE)
        time.sleep(6)  # what is written later is written
        return {"join_ms": p50_p99(took), "join_cpu_ms": round((self.cpu_ms() - cpu) / JOINS, 2)}

    def stop(self):
        """And what it has made."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)
        shutil.rmtree(os.path.dirname(self.subnet_file))
        for device in ("flannel.1", "flannel-v6.1"):
            run("ip", "link", "del", device)
