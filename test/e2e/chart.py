"""flannel as Helm installs it, with network policies: changed by upgrades, and removed."""
import os
import re
import subprocess

import checks
import oci
import policies
import rollout
from cluster import PODS, UNDERLAY
from machine import read, run, wait

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = f"{TREE}/packaging/chart"
NAMESPACE = "kube-flannel"
# What there is on a node.
LOOK = """ip -o link; ip route; ip -6 route; ip nexthop; iptables-save; ip6tables-save; nft list tables; ls /etc/cni/net.d
find /run/flannel /var/lib/flannel -type f 2>/dev/null || true"""


def programs():
    helm, netpol = run(f"{TREE}/scripts/build-kube", "helm", "netpol").split()[-2:]
    return {"helm": f"{helm}/helm", "netpol": f"{netpol}/{'netpol' if has_queue() else 'netpol-xt'}"}


def has_queue():
    """Whether this kernel's nftables can queue packets."""
    rules = "table inet t { chain c { queue num 1; }; }"
    command = ["unshare", "--net", "nft", "--check", "-f", "-"]
    return subprocess.run(command, input=rules, text=True, stderr=subprocess.DEVNULL, check=False).returncode == 0


def policies_image(folder, program):
    """By the name that the chart has."""
    values = read(f"{CHART}/values.yaml")
    name = re.search(r"repository: (\S+/kube-network-policies)\n\s*tag: (\S+)", values)
    root, layout = oci.Root(), oci.Layout()
    root.copy(program, "bin/netpol")
    layout.name([layout.image("amd64", root.layer(), {}, ["/bin/netpol"])], [f"{name[1]}:{name[2]}"])
    layout.write(folder)
    return f"{folder}/image.tar"


def helm(cluster, *words):
    folders = {f"HELM_{kind}_HOME": f"{cluster.folder}/helm" for kind in ("CACHE", "CONFIG", "DATA")}
    return cluster.cp.run(cluster.programs["helm"], f"--kubeconfig={cluster.folder}/admin.kubeconfig", "-n", NAMESPACE,
                          *words, env=os.environ | folders)


def values(cluster, *more):
    six = [f"podCidrv6={PODS[1]}"] if cluster.families == 2 else []
    return [word for value in ("netpol.enabled=true", *six, *more) for word in ("--set", value)]


def install(cluster):
    """As docs/kubernetes.md says."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")
    helm(cluster, "install", "flannel", CHART, *values(cluster))
    rollout.settle(cluster)


def upgrade(cluster, *more):
    """Returns which pods were replaced."""
    before = rollout.daemons(cluster)
    helm(cluster, "upgrade", "flannel", CHART, *values(cluster, *more))
    rollout.settle(cluster)
    return before - rollout.daemons(cluster)


def has_table(node):
    return "table ip flannel-ipv4" in node.run("nft", "list", "tables")


class Chart(checks.Results):
    """What becomes of a cluster when the chart's values change, and when it goes."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.nodes = cluster, cluster.nodes()

    def change_network(self):
        """kubelets look for changes of a ConfigMap once a minute or so."""
        replaced = upgrade(self.cluster, "flannel.enableNFTables=true")
        self.check("no pod is replaced when the network configuration changes", lambda: not replaced)
        wait("the network configuration to be taken up", lambda: all(map(has_table, self.nodes)), 180, 1)
        for node in self.nodes:
            self.check(f"{node.name}: the rules of iptables are gone",
                       lambda node=node: "FLANNEL" not in node.run("iptables-save"))

    def change_flags(self):
        replaced = upgrade(self.cluster, "flannel.enableNFTables=true", "flannel.extraArgs={--v=1}")
        self.check("each pod is replaced when a flag changes", lambda: len(replaced) == len(self.nodes))

    def remove(self):
        """Traffic goes on until nodes are cleaned as docs/kubernetes.md says."""
        probe = checks.Checks(self.cluster)
        helm(self.cluster, "uninstall", "flannel")
        wait("flannel's pods to be gone", lambda: not rollout.daemons(self.cluster))
        self.check("pods reach each other when flannel has gone",
                   lambda: probe.ping(probe.client, probe.server.addresses[0]))
        self.check("and the outside", lambda: probe.ping(probe.client, str(UNDERLAY[0][1])))
        for node in self.nodes:
            node.run("sh", "-c", cleaning())
            self.check(f"{node.name}: nothing of flannel is left", lambda node=node: not re.search(
                r"flannel|cni0|FLANNEL|proto 70\b", node.run("sh", "-c", LOOK)))


def cleaning():
    """The commands of docs/kubernetes.md that clean a node; some have nothing to do."""
    text = read(f"{TREE}/docs/kubernetes.md").split("## Removing it")[1].split("\n## ")[0]
    lines = re.search(r"```sh\n(.*?)```", text, re.S)[1].splitlines()
    other = [command.replace("\n", " ") for command in re.findall(r"`(nft delete [^`]+)`", text)]
    return "\n".join(f"({line.split('#')[0].rstrip('; ')}) 2>/dev/null" for line in lines + other) + "\ntrue"


def test(cluster):
    """Returns how many things do not work."""
    failed = checks.check_all(cluster) + policies.check_all(cluster, "iptables")
    chart = Chart(cluster)
    chart.change_network()
    failed += policies.check_all(cluster, "nftables")
    chart.change_flags()
    chart.remove()
    return failed + chart.failed
