#!/usr/bin/env python3
"""What the CNI plugin costs a container, beside the Go plugins where CNI_REFERENCE names their folder.

usage: cni.py NAME=FOLDER [NAME=FOLDER ...]
FOLDER has flannel, bridge, host-local and portmap. Everything runs in network and mount namespaces of its own, on a tmpfs,
which end with this program. The client starts plugins by posix_spawn and waits. One line of JSON a case:
  reservations   of other containers, in the same network
  ports          1: a TCP and a UDP port of the host, so that portmap follows flannel as in a usual chain
  families       2: IPv4 and IPv6
  masquerade     1: by the plugin (FLANNEL_IPMASQ=false), which then runs iptables; 0: by the daemon
  parallel       calls at the same time; 1: one after the other
  VERB_ms        of one container: p50 and p99 (of 50, or of 3 rounds of `parallel`)
  VERB_per_s     containers a second
  execs, calls   programs started and system calls (strace -f) of one ADD and one DEL;  own_calls  those of the first program alone
  peak_kb        the largest process of flannel's ADD
"""
import ctypes, json, os, re, shutil, subprocess, sys, tempfile, time

CLONE_NEWNET, CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND = 0x40000000, 0x20000, 0x4000, 0x40000, 0x1000
libc = ctypes.CDLL(None, use_errno=True)
ENV = "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.0.1/16\nFLANNEL_MTU=1450\n"
ENV_IPV6 = "FLANNEL_IPV6_NETWORK=fc00:5::/48\nFLANNEL_IPV6_SUBNET=fc00:5:0:1::1/64\n"


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags):
    check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, None))


def make_netns(path):
    open(path, "w").close()
    child = os.fork()
    if child == 0:
        libc.unshare(CLONE_NEWNET)
        mount("/proc/self/ns/net", path, "", MS_BIND)
        os._exit(0)
    os.waitpid(child, 0)


class Node:
    def __init__(self, name, plugins, env):
        self.name, self.plugins, self.folder = name, os.path.abspath(plugins), tempfile.mkdtemp(prefix="flannel-bench-cni")
        mount("tmpfs", self.folder, "tmpfs", 0)
        with open(f"{self.folder}/subnet.env", "w") as file:
            file.write(env)
        self.elapsed = 0.0
        self.base = {"cniVersion": "1.0.0", "name": "cbr0"}
        self.write("flannel", {**self.base, "type": "flannel", "subnetFile": f"{self.folder}/subnet.env",
                               "dataDir": f"{self.folder}/records", "ipam": {"dataDir": f"{self.folder}/networks"}})

    def write(self, name, document):
        with open(f"{self.folder}/{name}", "w") as file:
            json.dump(document, file)

    def reserve(self, count):
        network = f"{self.folder}/networks/cbr0"
        os.makedirs(network, exist_ok=True)
        for number in range(count):
            with open(f"{network}/10.5.{100 + number // 250}.{number % 250 + 1}", "w") as file:
                file.write(f"other{number}\r\neth0")

    def start(self, verb, plugin, pod, document, words=()):
        environment = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": pod, "CNI_IFNAME": "eth0",
                       "CNI_NETNS": f"{self.folder}/ns-{pod}", "CNI_PATH": self.plugins}
        actions = [(os.POSIX_SPAWN_OPEN, 0, f"{self.folder}/{document}", os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, f"{self.folder}/out-{pod}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                   (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
        command = [*words, f"{self.plugins}/{plugin}"]
        return os.posix_spawnp(command[0], command, environment, file_actions=actions)

    def steps(self, verb, ports):
        chain = ["flannel", "portmap"] if ports else ["flannel"]
        return chain[::-1] if verb == "DEL" else chain

    def document(self, plugin, verb, pod, number):
        """What the runtime hands to a plugin of the chain: the same for all but the result of the one before."""
        if plugin == "flannel" and verb != "CHECK":
            return "flannel"
        name = f"{plugin}-{verb}-{pod}"
        document = json.load(open(f"{self.folder}/flannel")) if plugin == "flannel" else {
            **self.base, "type": "portmap", "runtimeConfig": {"portMappings": [
                {"hostPort": 20000 + number, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 20000 + number, "containerPort": 80, "protocol": "udp"}]}}
        document["prevResult"] = json.load(open(f"{self.folder}/result-{pod}"))
        self.write(name, document)
        return name

    def keep_result(self, plugin, verb, pod):
        if plugin == "flannel" and verb == "ADD":
            shutil.copy(f"{self.folder}/out-{pod}", f"{self.folder}/result-{pod}")

    def round(self, verb, pods, ports, words=()):
        """One verb of all pods at the same time; the seconds of each. Chains go in step, so that the client's own work
        between two plugins costs nobody."""
        took = dict.fromkeys(pods, 0.0)
        for plugin in self.steps(verb, ports):
            documents = {pod: self.document(plugin, verb, pod, number) for number, pod in enumerate(pods)}
            begun, running = time.monotonic(), {}
            for pod in pods:
                process = self.start(verb, plugin, pod, documents[pod], words)
                running[process] = (pod, begun if len(pods) == 1 else time.monotonic())
            for _ in pods:
                process, status = os.waitpid(-1, 0)
                pod, at = running[process]
                took[pod] += time.monotonic() - at
                if status != 0:
                    raise SystemExit(f"{self.name} {plugin} {verb}: " + open(f"{self.folder}/out-{pod}").read())
                self.keep_result(plugin, verb, pod)
            self.elapsed += time.monotonic() - begun
        return list(took.values())

    def stop(self):
        libc.umount2(self.folder.encode(), 2)
        os.rmdir(self.folder)


def quantiles(seconds):
    ordered = sorted(seconds)
    return [round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e3, 2) for part in (0.5, 0.99)]


def counts(node, verb, pod, ports):
    """Programs and system calls of one call, and those of its first program."""
    path = f"{node.folder}/strace"
    node.round(verb, [pod], ports, ("strace", "-f", "-qq", "-A", "-o", path))
    lines = open(path).read().splitlines()
    os.remove(path)
    calls = [line.split()[0] for line in lines if re.match(r"\d+ +\w+\(", line)]
    return sum("execve" in line and line.endswith("= 0") for line in lines), len(calls), calls.count(calls[0])


def peak_kb(node, pod):
    """The most memory of any process of an ADD, read while strace holds each at its end. wait4 would tell of the client's as
    well, out of which they are made."""
    words = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=100000")
    process, peak = node.start("ADD", "flannel", pod, "flannel", words), 0
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        waiting, found = [process], []
        while waiting:
            try:
                parent = waiting.pop()
                waiting += map(int, open(f"/proc/{parent}/task/{parent}/children").read().split())
                found.append((parent, open(f"/proc/{parent}/comm").read(), open(f"/proc/{parent}/status").read()))
            except OSError:
                pass  # it has just ended
        peak = max([peak, *(int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) for _, command, status in found
                            if command != "strace\n" and "VmHWM" in status)])
        time.sleep(0.005)
    node.round("DEL", [pod], False)
    return peak


def measure(name, plugins, reservations, ports, families, masquerade, parallel):
    env = ENV + (ENV_IPV6 if families == 2 else "") + f"FLANNEL_IPMASQ={'false' if masquerade else 'true'}\n"
    node = Node(name, plugins, env)
    try:
        node.reserve(reservations)
        pods = [f"pod{number}" for number in range(parallel)]
        for pod in [*pods, "first"]:
            make_netns(f"{node.folder}/ns-{pod}")
        node.round("ADD", ["first"], False)  # makes the bridge
        out = {"name": name, "reservations": reservations, "ports": ports, "families": families,
               "masquerade": masquerade, "parallel": parallel}
        seconds, elapsed, rounds = {"ADD": [], "CHECK": [], "DEL": []}, {}, 50 if parallel == 1 else 3
        for _ in range(rounds):
            for verb in seconds:
                node.elapsed = 0
                seconds[verb] += node.round(verb, pods, ports)
                elapsed[verb] = elapsed.get(verb, 0) + node.elapsed
        for verb in seconds:
            out[f"{verb.lower()}_ms"] = quantiles(seconds[verb])
            if parallel > 1:
                out[f"{verb.lower()}_per_s"] = round(rounds * parallel / elapsed[verb])
        if parallel == 1:
            out["peak_kb"] = peak_kb(node, pods[0])
            for verb in ("ADD", "DEL"):
                for what, number in zip(("execs", "calls", "own_calls"), counts(node, verb, pods[0], ports)):
                    out[f"{verb.lower()}_{what}"] = number
        print(json.dumps(out), flush=True)
    finally:
        node.stop()
        subprocess.run(["ip", "link", "del", "cni0"], stderr=subprocess.DEVNULL)
        for command in ("iptables", "ip6tables"):
            subprocess.run([f"{command}-restore"], input="*nat\nCOMMIT\n", text=True, stderr=subprocess.DEVNULL)


def main():
    check(libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("sysfs", "/sys", "sysfs", 0)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for case in ((0, 0, 1, 0, 1), (1000, 0, 1, 0, 1), (3000, 0, 1, 0, 1), (0, 1, 1, 0, 1), (0, 0, 2, 0, 1), (0, 0, 1, 1, 1), (0, 0, 2, 1, 1),
                 (0, 0, 1, 0, 2), (0, 0, 1, 0, 8), (0, 0, 1, 0, 32), (0, 1, 1, 0, 2), (0, 1, 1, 0, 8), (0, 1, 1, 0, 32), (0, 0, 1, 1, 32)):
        for argument in sys.argv[1:]:
            name, _, plugins = argument.partition("=")
            measure(name, plugins, *case)


if __name__ == "__main__":
    main()
