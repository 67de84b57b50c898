"""A kube-apiserver for a benchmark, over an etcd, by itself in its namespace; and Nodes of the size that real ones have."""
import hashlib, http.client, json, os, random, shutil, ssl, subprocess, time, uuid

from etcd_server import EtcdServer, b64, memory_folder

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS, PORT = "198.18.0.2", 6443
ACCOUNT = "system:serviceaccount:kube-flannel:flannel"
PREFIX = "flannel.alpha.coreos.com/"
PROTOBUF = "application/vnd.kubernetes.protobuf"
STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
# Nodes have numbers, in no order; number 0 is what they are made from. Their texts are of one length each, so that one
# is put in the place of another within an encoded Node.
NUMBERS = random.Random(1).sample(range(1, 156 * 156), 156 * 156 - 1)
MOST_AT_ONCE = 40  # Nodes of a transaction: etcd takes 1.5 MB


def name_of(number):
    return f"node-{number:05}"


def subnet_of(number):
    return f"10.{100 + number // 156}.{100 + number % 156}.0/24"


def annotations_of(number):
    mac = hashlib.sha256(str(number).encode()).digest()[:5]
    return {f"{PREFIX}backend-data": json.dumps({"VNI": 1, "VtepMAC": "02:" + mac.hex(":")}), f"{PREFIX}backend-type": "vxlan",
            f"{PREFIX}kube-subnet-manager": "true", f"{PREFIX}public-ip": f"198.18.{100 + number // 156}.{100 + number % 156}"}


def status_patch():
    """What a kubelet says of a healthy node every five minutes."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"status": {"conditions": [
        {"type": kind, "status": "True" if kind == "Ready" else "False", "reason": f"KubeletHas{kind}", "lastHeartbeatTime": now,
         "message": f"kubelet says of {kind} what it has said before", "lastTransitionTime": "2026-11-01T00:00:00Z"}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")]}}


def new_node(number):
    """As a kubelet registers it, with 50 images."""
    images = [{"names": [f"registry.example/library/app-{n}@sha256:{hashlib.sha256(str(n).encode()).hexdigest()}",
                         f"registry.example/library/app-{n}:v1.{n}"], "sizeBytes": 10**7 + n} for n in range(50)]
    info = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion",
            "kubeProxyVersion", "operatingSystem", "architecture")
    amounts = {"cpu": "16", "memory": "65842180Ki", "pods": "110", "ephemeral-storage": "102350Mi", "hugepages-2Mi": "0"}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name_of(number), "labels": {f"label.example/{n}": f"value-{n}" for n in range(15)},
                         "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
            "status": status_patch()["status"] | {
                "images": images, "nodeInfo": {key: "x" * 24 for key in info}, "capacity": amounts, "allocatable": amounts,
                "addresses": [{"type": "InternalIP", "address": annotations_of(number)[f"{PREFIX}public-ip"]}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}}


class ApiServer:
    def __init__(self, kube):
        self.etcd, self.folder, self.server = EtcdServer(), memory_folder(), None
        try:
            self._start(kube)
        except BaseException:
            self.stop()
            raise

    def _start(self, kube):
        subprocess.run(["openssl", "genrsa", "-out", f"{self.folder}/key", "2048"], check=True, capture_output=True)
        self._write("tokens", 'admin,admin,1,"system:masters"\n')
        self._write("audit.json", {"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
                                   "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
                                   "rules": [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}]})
        command = [kube, "kube-apiserver", f"--etcd-servers={EtcdServer.URL}", f"--advertise-address={ADDRESS}", f"--secure-port={PORT}",
                   f"--cert-dir={self.folder}", f"--token-auth-file={self.folder}/tokens", "--authorization-mode=RBAC",
                   "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={self.folder}/key",
                   f"--service-account-signing-key-file={self.folder}/key", "--service-cluster-ip-range=10.96.0.0/16",
                   "--endpoint-reconciler-type=none", f"--audit-policy-file={self.folder}/audit.json",
                   f"--audit-log-path={self.folder}/audit"]
        with open(f"{self.folder}/log", "w") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(1200):
            if self._is_ready():
                break
            time.sleep(0.1)
        else:
            raise SystemExit("kube-apiserver does not start:\n" + open(f"{self.folder}/log").read()[-2000:])
        self._make_account(kube)
        self._make_templates()

    def _write(self, name, content):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))

    def _kubeconfig(self, name, token):
        """The server's own certificate has its authority's beside it."""
        cluster = {"server": f"https://{ADDRESS}:{PORT}", "certificate-authority": f"{self.folder}/apiserver.crt"}
        self._write(name, {"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": cluster}],
                           "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"token": token}}]})
        return f"{self.folder}/{name}"

    def _is_ready(self):
        try:
            return self.client().status("GET", "/readyz") == 200
        except (OSError, http.client.HTTPException):
            return False

    def client(self):
        return Client(f"{self.folder}/apiserver.crt")

    def _make_account(self, kube):
        """flannel's own, with the rights that the manifest gives."""
        self.api = self.client()
        manifest = f"{HERE}/../../packaging/kube-flannel.yml"
        subprocess.run([kube, "kubectl", f"--kubeconfig={self._kubeconfig('admin', 'admin')}", f"--cache-dir={self.folder}/kubectl", "apply",
                        "--validate=false", "-f", manifest], check=True, capture_output=True)
        answer = self.api.ask("POST", "/api/v1/namespaces/kube-flannel/serviceaccounts/flannel/token",
                              {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        self.kubeconfig = self._kubeconfig("flannel", json.loads(answer)["status"]["token"])

    def _make_templates(self):
        """An encoded Node as the server keeps it, with the managedFields of those who write to Nodes: without flannel's annotations and with."""
        path = f"/api/v1/nodes/{name_of(0)}"
        self.uid = json.loads(self.api.ask("POST", "/api/v1/nodes", new_node(0), agent="kubelet"))["metadata"]["uid"]
        self.api.ask("PATCH", path, {"spec": {"podCIDR": subnet_of(0), "podCIDRs": [subnet_of(0)]}}, MERGE, "kube-controller-manager")
        self.api.ask("PATCH", f"{path}/status", status_patch(), STRATEGIC, "kubelet")
        self.bare = self.api.ask("GET", path, accept=PROTOBUF)
        self.annotate(0)
        self.whole = self.api.ask("GET", path, accept=PROTOBUF)
        self.api.ask("DELETE", path)

    def annotate(self, number):
        """As that node's flanneld does."""
        self.api.ask("PATCH", f"/api/v1/nodes/{name_of(number)}/status", {"metadata": {"annotations": annotations_of(number)}}, MERGE, "flanneld")

    def change_nodes(self, put=(), put_bare=(), remove=(), at_once=1):
        """Behind the server's back, which takes it from etcd as it does what another API server wrote. Where more than
        one is changed AT_ONCE, as no API server does, they have one version: a watch must not go on from there."""
        requests = [self._put(number, self.whole) for number in put] + [self._put(number, self.bare) for number in put_bare]
        requests += [{"requestDeleteRange": {"key": b64(f"/registry/minions/{name_of(number)}")}} for number in remove]
        for at in range(0, len(requests), at_once):
            self.etcd.ask("kv/txn", success=requests[at:at + at_once])

    def _put(self, number, node):
        was = [self.uid, name_of(0), subnet_of(0), *annotations_of(0).values()]
        now = [str(uuid.uuid4()), name_of(number), subnet_of(number), *annotations_of(number).values()]
        for one, other in zip(was, now):
            node = node.replace(one.encode(), other.encode())
        return {"requestPut": {"key": b64(f"/registry/minions/{name_of(number)}"), "value": b64(node)}}

    def wait_for(self, number):
        """Until the server has seen it and all that was written before."""
        for _ in range(1200):
            if self.api.status("GET", f"/api/v1/nodes/{name_of(number)}?resourceVersion=0") == 200:
                return
            time.sleep(0.1)
        raise SystemExit("kube-apiserver does not follow etcd")

    def list_ms(self):
        """The list of all Nodes, compressed, by a client that makes nothing of it."""
        begun = time.monotonic()
        self.api.ask("GET", "/api/v1/nodes?resourceVersion=0", accept=PROTOBUF, encoding="gzip")
        return round((time.monotonic() - begun) * 1e3, 1)

    def calls(self):
        """Of flannel's account, in order: `list /api/v1/nodes`."""
        if not os.path.exists(f"{self.folder}/audit"):
            return []
        events = [json.loads(line) for line in open(f"{self.folder}/audit")]
        return [f"{event['verb']} {event['requestURI'].partition('?')[0]}" for event in events]

    def stop(self):
        if self.server:
            self.server.kill()
            self.server.wait()
        self.etcd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """One connection of an administrator."""

    def __init__(self, authority):
        context = ssl.create_default_context(cafile=authority)
        self.http = http.client.HTTPSConnection(ADDRESS, PORT, timeout=60, context=context)

    def _send(self, method, path, body, kind, agent, accept, encoding):
        headers = {"Authorization": "Bearer admin", "Content-Type": kind, "User-Agent": f"{agent}/1", "Accept": accept, "Accept-Encoding": encoding}
        for last in (False, True):
            try:
                self.http.request(method, path, None if body is None else json.dumps(body), headers)
                answer = self.http.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):  # the server ends it after some idle time
                self.http.close()
                if last:
                    raise

    def ask(self, method, path, body=None, kind="application/json", agent="bench", accept="application/json", encoding="identity"):
        status, text = self._send(method, path, body, kind, agent, accept, encoding)
        if status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {status} {text[:300]}")
        return text

    def status(self, method, path):
        return self._send(method, path, None, "application/json", "bench", "application/json", "identity")[0]
