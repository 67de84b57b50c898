"""An etcd for a benchmark, by itself in its namespace."""
import base64, http.client, json, os, shutil, subprocess, tempfile, time


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def memory_folder():
    """In memory: a disk's time is not what is measured."""
    return tempfile.mkdtemp(prefix="flannel-bench", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


class EtcdServer:
    URL = "http://127.0.0.1:2379"

    def __init__(self):
        self.folder = memory_folder()
        self.server = subprocess.Popen([os.environ.get("FLANNEL_ETCD", "etcd"), f"--data-dir={self.folder}", f"--listen-client-urls={self.URL}",
                                        f"--advertise-client-urls={self.URL}", "--listen-peer-urls=http://127.0.0.1:2380"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.http = http.client.HTTPConnection("127.0.0.1", 2379, timeout=20)
                self.ask("kv/range", key=b64("x"))
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise SystemExit("etcd does not start")

    def ask(self, path, **body):
        self.http.request("POST", f"/v3/{path}", json.dumps(body))
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"etcd: {path}: {text[:200]}")
        return json.loads(text)

    def stop(self):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
