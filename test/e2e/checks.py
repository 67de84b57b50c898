"""What has to work in a cluster, whoever makes its pod network."""
import json
import os

from cluster import IMAGE, SERVICES, UNDERLAY, Pod, is_ready, say
from machine import wait

NODE_PORT, HOST_PORT = 30080, 8088


def pod(name, node, command, ports=()):
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command], "ports": list(ports)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": node.name, "terminationGracePeriodSeconds": 0, "containers": [container]}}


def web_server(name, node):
    command = "mkdir -p /www && hostname >/www/index.html && echo serving && exec busybox httpd -f -p 80 -h /www"
    return pod(name, node, command, [{"containerPort": 80, "hostPort": HOST_PORT}])


def service(name, families):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "NodePort", "selector": {"app": name}, "ports": [{"port": 80, "nodePort": NODE_PORT}],
                     "ipFamilyPolicy": "PreferDualStack" if families == 2 else "SingleStack"}}


def run_pods(cluster, *pods):
    cluster.apply(*pods)
    names = [one["metadata"]["name"] for one in pods]
    try:
        wait("pods to be ready", lambda: all(is_ready(cluster.get("pod", name)) for name in names))
    except RuntimeError as error:
        events = cluster.kubectl("get", "events", "-A", "--field-selector=type=Warning")
        raise RuntimeError(f"{error}\n{events}") from error
    return [Pod(cluster, name) for name in names]


def reserved(cluster):
    """Addresses that pods have, by the files of host-local."""
    folders = [f"{node.folder}/lib/cni/networks/cbr0" for node in cluster.nodes()]
    return [name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder) if name[0].isdigit()]


def bracketed(address):
    return f"[{address}]" if ":" in address else address


class Results:
    """Says of each thing whether it works, and counts what does not."""

    def __init__(self):
        self.failed = 0

    def check(self, what, attempt):
        try:
            wait(what, lambda: attempt() is not False, 30, 0.3)
            say("ok    ", what)
        except RuntimeError as error:
            self.failed += 1
            say("FAILED", what, error)


class Checks(Results):
    """Between a pod of the first node and a web server of the second."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster
        nodes = cluster.nodes()
        client = pod("client", nodes[0], "exec sleep 1000000")
        self.client, self.server = run_pods(cluster, client, web_server("server", nodes[1]))
        cluster.apply(service("server", cluster.families))

    def fetch(self, by, host, port=80):
        """The server's page, by a machine or a pod."""
        url = f"http://{bracketed(host)}:{port}/index.html"
        return "server" in by.run("curl", "-sSf", "-m", "2", "--noproxy", "*", url)

    def ping(self, by, address, *more):
        by.run("ping", "-c", "2", "-i", "0.2", "-W", "2", *more, address)

    def packets(self, family):
        client, server, cluster = self.client, self.server, self.cluster
        to, back = server.addresses[family], client.addresses[family]
        mtu = json.loads(client.run("ip", "-j", "link", "show", "eth0"))[0]["mtu"]
        whole = mtu - (48 if family else 28)
        name = "v6" if family else "v4"
        self.check(f"{name}: ping from pod to pod", lambda: self.ping(client, to))
        self.check(f"{name}: ping back", lambda: self.ping(server, back))
        self.check(f"{name}: a packet of the pods' MTU, whole",
                   lambda: self.ping(client, to, "-M", "do", "-s", str(whole)))
        self.check(f"{name}: node to pod of another node", lambda: self.ping(client.node, to))
        self.check(f"{name}: pod to another node", lambda: self.ping(client, cluster.address(server.node, family)))
        # Masqueraded: what is outside knows no way back to a pod.
        self.check(f"{name}: pod to the outside", lambda: self.ping(client, str(UNDERLAY[family][1])))
        self.check(f"{name}: TCP from pod to pod", lambda: self.fetch(client, to))

    def services(self, family):
        client, server, cluster = self.client, self.server, self.cluster
        address = cluster.get("service", "server")["spec"]["clusterIPs"][family]
        here, there = (cluster.address(one.node, family) for one in (client, server))
        name = "v6" if family else "v4"
        self.check(f"{name}: Service from a pod", lambda: self.fetch(client, address))
        self.check(f"{name}: Service from a node", lambda: self.fetch(client.node, address))
        self.check(f"{name}: Service from its own pod", lambda: self.fetch(server, address))
        self.check(f"{name}: NodePort of the other node from outside", lambda: self.fetch(cluster.cp, here, NODE_PORT))
        self.check(f"{name}: hostPort from outside", lambda: self.fetch(cluster.cp, there, HOST_PORT))
        self.check(f"{name}: hostPort from a pod of another node", lambda: self.fetch(client, there, HOST_PORT))

    def has_legacy_rules(self):
        legacy, nft = (self.client.node.run(f"iptables-{kind}-save") for kind in ("legacy", "nft"))
        return "FLANNEL-POSTRTG" in legacy and "KUBE-SERVICES" in legacy and "FLANNEL" not in nft

    def cluster_itself(self):
        cluster = self.cluster
        api = f"https://{SERVICES[0][1]}/readyz"
        self.check("API server from a pod", lambda: self.client.run("curl", "-sk", "-m", "2", "--noproxy", "*", api))
        if cluster.legacy:
            self.check("rules are of the legacy iptables alone", self.has_legacy_rules)
        self.check("kubectl exec", lambda: "client" in cluster.kubectl("exec", "client", "--", "hostname"))
        self.check("kubectl logs", lambda: "serving" in cluster.kubectl("logs", "server"))

    def end(self):
        self.cluster.kubectl("delete", "service/server", "pod/client", "pod/server", "--wait=true")
        self.check("addresses are free again", lambda: not reserved(self.cluster))


def check_all(cluster):
    """Returns how many things do not work."""
    checks = Checks(cluster)
    for family in range(cluster.families):
        checks.packets(family)
        checks.services(family)
    checks.cluster_itself()
    checks.end()
    return checks.failed
