"""OCI images without any engine, and the Debian packages that they are made of."""
import glob
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "flannel-cpp/packages")
LISTS = "/var/lib/apt/lists"


def apt_options(arch):
    """Of apt for an architecture. For another than this machine's it has a state of its own, as old as the machine's:
    nothing is installed, and the machine knows of no second architecture."""
    if arch == subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip():
        return []
    state = os.path.join(CACHE, arch, "apt")
    stamp = os.path.join(state, "updated")
    settings = {"APT::Architecture": arch, "APT::Architectures": arch, "APT::Sandbox::User": "root",
                "Dir::State": state, "Dir::State::status": "/dev/null", "Dir::Cache": state}
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < os.path.getmtime(LISTS):
        os.makedirs(os.path.join(state, "lists/partial"), exist_ok=True)
        os.makedirs(os.path.join(state, "archives/partial"), exist_ok=True)
        subprocess.run(["apt-get", "-q", *options, "update"], check=True, stdout=subprocess.DEVNULL)
        with open(stamp, "w", encoding="utf-8"):
            pass
    return options


def with_dependencies(names, arch):
    """As apt would install them where nothing is: NAME of each."""
    command = ["apt-get", "-q", *apt_options(arch), "--simulate", "--no-install-recommends", "install", *names]
    return re.findall(r"^Inst (\S+)", subprocess.check_output(command, text=True), re.M)


def fetch(packages, arch):
    """Of each of the packages the newest version that apt knows, and its file."""
    folder = os.path.join(CACHE, arch)
    os.makedirs(folder, exist_ok=True)
    options = apt_options(arch)
    names = [f"{package}:{arch}" for package in packages]
    known = subprocess.check_output(["apt-cache", *options, "show", "--no-all-versions", *names], text=True)
    found, missing = {}, []
    for package in known.strip().split("\n\n"):
        of = dict(re.findall(r"^(Package|Version|Architecture): (.*)$", package, re.M))
        file = f"{of['Package']}_{of['Version'].replace(':', '%3a')}_{of['Architecture']}.deb"
        found[of["Package"]] = (of["Version"], os.path.join(folder, file))
        if not os.path.exists(os.path.join(folder, file)):
            missing.append(f"{of['Package']}:{arch}={of['Version']}")
    if missing:
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", *options, "download", *missing]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return found


class Root:
    """The files of an image: path -> (mode, contents or target of a link)."""

    def __init__(self):
        self.entries = {}

    def file(self, path, contents, mode=0o644):
        self.entries[path] = (mode, contents)

    def copy(self, source, path):
        if os.path.islink(source):
            self.link(path, os.readlink(source))
        else:
            with open(source, "rb") as f:
                self.file(path, f.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def copy_package(self, file, patterns):
        """The files of a package that a pattern fits; each fits at least one."""
        with tempfile.TemporaryDirectory() as unpacked:
            subprocess.run(["dpkg-deb", "-x", file, unpacked], check=True)
            for pattern in patterns:
                paths = sorted(glob.glob(os.path.join(unpacked, pattern)))
                if not paths:
                    raise RuntimeError(f"{file} has no {pattern}")
                for path in paths:
                    self.copy(path, os.path.relpath(path, unpacked))

    def link(self, path, target):
        self.entries[path] = (0o777, target)

    def layer(self):
        """As a tar: sorted, of root, from 1970."""
        folders = {"tmp": 0o1777, "run": 0o755, "proc": 0o755, "sys": 0o755, "dev": 0o755}
        for path in self.entries:
            while path := os.path.dirname(path):
                folders.setdefault(path, 0o755)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted([*folders, *self.entries]):
                info = tarfile.TarInfo(path)
                if path in folders:
                    info.type, info.mode = tarfile.DIRTYPE, folders[path]
                    tar.addfile(info)
                    continue
                info.mode, contents = self.entries[path]
                if isinstance(contents, str):
                    info.type, info.linkname = tarfile.SYMTYPE, contents
                    tar.addfile(info)
                else:
                    info.size = len(contents)
                    tar.addfile(info, io.BytesIO(contents))
        return packed.getvalue()


class Layout:
    """An OCI image layout (opencontainers/image-spec, image-layout.md)."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(self, data, kind, **more):
        if not isinstance(data, bytes):
            data = json.dumps(data, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        kind = f"application/vnd.oci.image.{kind}"
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def image(self, arch, layer, labels, entrypoint):
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
            out.write(layer)
        config = {
            "architecture": arch,
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Labels": labels,
                       "Env": ["PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(config, "config.v1+json"),
            "layers": [self.blob(packed.getvalue(), "layer.v1.tar+gzip")],
        }
        return self.blob(manifest, "manifest.v1+json", platform={"architecture": arch, "os": "linux"})

    def name(self, images, names):
        """Makes these the names of the images, one an architecture. Returns their digest."""
        kind = "application/vnd.oci.image.index.v1+json"
        index = self.blob({"schemaVersion": 2, "mediaType": kind, "manifests": images}, "index.v1+json")
        named = []
        for name in names:
            tag = name.rpartition(":")[2]
            notes = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
            named.append(index | {"annotations": notes})
        top = {"schemaVersion": 2, "mediaType": kind, "manifests": named}
        self.files["index.json"] = json.dumps(top, sort_keys=True).encode()
        return index["digest"]

    def write(self, folder):
        shutil.rmtree(os.path.join(folder, "layout"), ignore_errors=True)
        for path, data in self.files.items():
            path = os.path.join(folder, "layout", path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)
        with tarfile.open(os.path.join(folder, "image.tar"), "w", format=tarfile.GNU_FORMAT) as tar:
            for path, data in sorted(self.files.items()):
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
