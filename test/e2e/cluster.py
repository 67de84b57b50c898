"""A Kubernetes cluster of machines (machine.py): a control plane, and nodes with containerd, kubelet and kube-proxy.

The machine cp has the bridge `underlay`, which stands for the network between the nodes, and for all that is outside
the cluster: nothing there knows a route to pods.
"""
import base64
import functools
import ipaddress
import json
import os
import re
import secrets
import shutil
import threading
import time

from machine import Machine, read, run, wait, write

# v4 and v6. Nodes are the 11th address of their network and on, cp is the first.
UNDERLAY = [ipaddress.ip_network("198.18.0.0/24"), ipaddress.ip_network("fd00:198:18::/64")]
PODS = [ipaddress.ip_network("10.244.0.0/16"), ipaddress.ip_network("fd00:10:244::/56")]
SERVICES = [ipaddress.ip_network("10.96.0.0/16"), ipaddress.ip_network("fd00:10:96::/112")]
API_PORT = 6443
API = f"https://{UNDERLAY[0][1]}:{API_PORT}"
SOCKET = "/run/containerd/containerd.sock"
# What pods of tests and their sandboxes are made of.
IMAGE = "e2e.local/tools:1"
# What a kubelet sets for the whole kernel; down() puts it back.
KERNEL = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
          "kernel/keys/root_maxbytes"]
STARTED = time.monotonic()


def say(*words):
    print(f"[{time.monotonic() - STARTED:6.1f}s]", *words, flush=True)


def each(things, do):
    """Does it with all at once; raises the first error."""
    errors = []

    def one(thing):
        try:
            do(thing)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(thing,)) for thing in things]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def is_ready(thing):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in thing["status"].get("conditions", []))


class Pod:
    """A pod that runs: where, by which addresses, and the process there that has its network namespace."""

    def __init__(self, cluster, name):
        found = cluster.get("pod", name)
        self.name, self.node = name, cluster.machine(found["spec"]["nodeName"])
        self.addresses = [one["ip"] for one in found["status"]["podIPs"]]
        container = found["status"]["containerStatuses"][0]["containerID"].split("//")[1]
        tasks = self.node.run(cluster.programs["ctr"], "-a", SOCKET, "-n", "k8s.io", "tasks", "ls")
        self.pid = re.search(rf"{container}\s+(\d+)", tasks)[1]

    def argv(self, *words):
        """A program of the host's in the pod's network."""
        return ("nsenter", "-t", self.pid, "-n", *map(str, words))

    def run(self, *words, **options):
        return self.node.run(*self.argv(*words), **options)

    def popen(self, *words, **options):
        return self.node.popen(*self.argv(*words), **options)


class Cluster:
    """`programs`: kube, etcd, containerd with its shim beside it, ctr, runc. `families`: 1, or 2 for dual stack.
    `legacy`: nodes have the legacy kind of iptables, and kube-proxy uses it."""

    def __init__(self, folder, programs, families=1, legacy=False):
        self.folder, self.programs, self.families, self.legacy = folder, programs, families, legacy
        self.cp = self.machine("cp")
        self.plugins = []  # CNI plugins that nodes have before flannel comes

    def machine(self, name):
        return Machine(f"{self.folder}/{name}")

    def nodes(self):
        return [self.machine(name) for name in sorted(os.listdir(self.folder)) if re.fullmatch(r"n\d+", name)]

    def address(self, node, family=0):
        return str(UNDERLAY[family][10 + int(node.name[1:])])

    def kubectl(self, *words, **options):
        return self.cp.run(self.programs["kube"], "kubectl", f"--kubeconfig={self.folder}/admin.kubeconfig",
                           f"--cache-dir={self.folder}/kubectl", *words, **options)

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def up(self, nodes, images):
        """With that many nodes, which have these images (OCI archives), and become Ready with a pod network."""
        write(f"{self.folder}/kernel", {name: read(f"/proc/sys/{name}") for name in KERNEL})
        machines = [self.machine(f"n{i + 1}") for i in range(nodes)]
        for machine in (self.cp, *machines):
            machine.start()
        self._make_secrets([machine.name for machine in machines])
        self._start_control_plane()
        say("API server ready")
        each(machines, lambda node: self.start_node(node, images))
        wait("all nodes to have their subnets",
             lambda: [n["spec"].get("podCIDR") for n in self.get("nodes")["items"]].count(None) == 0
             and len(self.get("nodes")["items"]) == nodes)
        say(nodes, "nodes registered")

    def down(self):
        machines = [self.machine(name) for name in os.listdir(self.folder)] if os.path.isdir(self.folder) else []
        each(machines, lambda machine: machine.end() if os.path.isdir(machine.folder) else None)
        if os.path.exists(f"{self.folder}/kernel"):
            for name, value in json.loads(read(f"{self.folder}/kernel")).items():
                if read(f"/proc/sys/{name}") != value:
                    write(f"/proc/sys/{name}", value)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ranges(self, networks):
        return ",".join(str(network) for network in networks[:self.families])

    def _make_secrets(self, nodes):
        """One authority, the servers' certificates, a token for everybody."""
        folder = f"{self.folder}/secrets"
        os.makedirs(folder, 0o700)
        openssl = functools.partial(run, "openssl", cwd=folder)
        for key in ("ca", "server", "kubelet"):
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{key}.key")
        openssl("genrsa", "-out", "accounts.key", "2048")
        openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=e2e", "-days", "2", "-out", "ca.crt")
        names = ",".join(f"IP:{address}" for address in ("127.0.0.1", UNDERLAY[0][1], SERVICES[0][1], SERVICES[1][1]))
        asked = (("server", "/CN=kube-apiserver", f"subjectAltName={names}"),
                 ("kubelet", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth"))
        for name, subject, extension in asked:
            write(f"{folder}/{name}.ext", extension)
            openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        users = {"admin": ("admin", "system:masters"), "proxy": ("system:kube-proxy", "system:proxies")}
        users |= {name: (f"system:node:{name}", "system:nodes") for name in nodes}
        tokens = ""
        for name, (user, group) in users.items():
            token = secrets.token_hex(16)
            tokens += f"{token},{user},{user},{group}\n"
            self._write_kubeconfig(name, token, read(f"{folder}/ca.crt"))
        write(f"{folder}/tokens", tokens, 0o600)

    def _write_kubeconfig(self, name, token, authority):
        server = {"server": API, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
        write(f"{self.folder}/{name}.kubeconfig", {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
            "users": [{"name": "e2e", "user": {"token": token}}],
            "clusters": [{"name": "e2e", "cluster": server}],
        }, 0o600)

    def _start_control_plane(self):
        self.cp.run("ip", "link", "add", "underlay", "type", "bridge")
        for network in UNDERLAY:
            self.cp.run("ip", "addr", "add", f"{network[1]}/{network.prefixlen}", "dev", "underlay", "nodad")
        self.cp.run("ip", "link", "set", "underlay", "up")
        self.cp.daemon("etcd", self.programs["etcd"], f"--data-dir={self.cp.folder}/etcd", "--unsafe-no-fsync",
                       "--log-level=warn")
        self.start_api()
        kube, folder = self.programs["kube"], f"{self.folder}/secrets"
        config = f"--kubeconfig={self.folder}/admin.kubeconfig"
        sizes = ["--node-cidr-mask-size-ipv6=64"] if self.families == 2 else []
        self.cp.daemon(
            "controller-manager", kube, "kube-controller-manager", config, "--leader-elect=false",
            "--allocate-node-cidrs", f"--cluster-cidr={self._ranges(PODS)}",
            f"--service-cluster-ip-range={self._ranges(SERVICES)}",
            f"--service-account-private-key-file={folder}/accounts.key", f"--root-ca-file={folder}/ca.crt", *sizes)
        self.cp.daemon("scheduler", kube, "kube-scheduler", config, "--leader-elect=false")

    def start_api(self):
        kube, folder = self.programs["kube"], f"{self.folder}/secrets"
        self.cp.daemon(
            "apiserver", kube, "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--secure-port={API_PORT}",
            f"--advertise-address={UNDERLAY[0][1]}", f"--tls-cert-file={folder}/server.crt",
            f"--tls-private-key-file={folder}/server.key", f"--client-ca-file={folder}/ca.crt",
            f"--token-auth-file={folder}/tokens", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--kubelet-preferred-address-types=InternalIP", f"--kubelet-client-certificate={folder}/kubelet.crt",
            f"--kubelet-client-key={folder}/kubelet.key", f"--service-cluster-ip-range={self._ranges(SERVICES)}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/accounts.key",
            f"--service-account-signing-key-file={folder}/accounts.key", "--allow-privileged=true")
        wait("the API server", lambda: self.kubectl("get", "--raw", "/readyz") == "ok", 180)

    def stop_api(self):
        self.cp.run("kill", "-9", read(f"{self.cp.folder}/apiserver.pid"))

    def start_node(self, node, images):
        self._connect(node)
        write(f"{node.folder}/containerd.toml", self._containerd_config())
        write(f"{node.folder}/kubelet.yaml", self._kubelet_config())
        # containerd looks for its shim in PATH.
        path = os.path.dirname(self.programs["containerd"])
        for plugin in self.plugins:
            node.run("cp", plugin, "/opt/cni/bin/")
        if self.legacy:
            for program in ("iptables", "ip6tables"):
                for name in (program, f"{program}-save", f"{program}-restore"):
                    kind = name.replace("tables", "tables-legacy")
                    node.run("ln", "-sfn", f"/usr/sbin/{kind}", f"/etc/alternatives/{name}")
        node.daemon("containerd", self.programs["containerd"], "-c", f"{node.folder}/containerd.toml", path=path)
        ctr = [self.programs["ctr"], "-a", SOCKET]
        wait("containerd", lambda: node.run(*ctr, "version"))
        for image in images:
            node.run(*ctr, "-n", "k8s.io", "images", "import", image)
        addresses = ",".join(self.address(node, family) for family in range(self.families))
        node.daemon("kubelet", self.programs["kube"], "kubelet", f"--config={node.folder}/kubelet.yaml",
                    f"--kubeconfig={self.folder}/{node.name}.kubeconfig", f"--hostname-override={node.name}",
                    f"--node-ip={addresses}", path=path)
        # conntrack's limits are not a namespace's to set.
        node.daemon("kube-proxy", self.programs["kube"], "kube-proxy", f"--kubeconfig={self.folder}/proxy.kubeconfig",
                    f"--hostname-override={node.name}", f"--proxy-mode={'iptables' if self.legacy else 'nftables'}",
                    f"--cluster-cidr={self._ranges(PODS)}",
                    "--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0",
                    "--conntrack-tcp-timeout-close-wait=0")

    def _connect(self, node):
        run("nsenter", "-t", self.cp.pid, "-n", "ip", "link", "add", node.name, "type", "veth", "peer", "name", "eth0",
            "netns", str(node.pid))
        self.cp.run("ip", "link", "set", node.name, "master", "underlay", "up")
        node.run("ip", "link", "set", "eth0", "up")
        for family, network in enumerate(UNDERLAY):
            node.run("ip", "addr", "add", f"{self.address(node, family)}/{network.prefixlen}", "dev", "eth0",
                     *(["nodad"] if family else []))
            node.run("ip", "route", "add", "default", "via", str(network[1]))

    def _containerd_config(self):
        # Without CAP_SYS_RESOURCE (24) no container's badness may be below its parent's.
        capable = int(re.search(r"CapEff:\s*(\w+)", read("/proc/self/status"))[1], 16) >> 24 & 1
        return f"""version = 3
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = {"false" if capable else "true"}
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{IMAGE}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = '{self.programs["runc"]}'
    SystemdCgroup = false
"""

    def _kubelet_config(self):
        scarce = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available",
                  "imagefs.inodesFree")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": f"{self.folder}/secrets/ca.crt"}},
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "resolvConf": "/etc/resolv.conf",
            "evictionHard": {name: "0%" for name in scarce},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        }

    def reboot(self, node):
        """All that ran there is gone, its memory and its network; its disk stays."""
        node.end()
        node.start()
        self.start_node(node, [])
