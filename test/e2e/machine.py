"""Machines made of namespaces: each with processes, mounts, network and cgroups of its own, and ending as a whole."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

KINDS = ("--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup")


def run(*words, **options):
    """A program's output; raises with it where the program fails."""
    words = [str(word) for word in words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text if isinstance(text, str) else json.dumps(text, indent=1))
    if mode:
        os.chmod(path, mode)


def wait(what, condition, limit=120, step=0.1):
    """What the condition becomes; what it raises meanwhile is of no matter."""
    end, last = time.monotonic() + limit, None
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except Exception as error:  # whatever it is, it may be over soon
            last = error
        time.sleep(step)
    raise RuntimeError(f"{what}: not within {limit} s" + (f"; last: {last}" if last else ""))


class Hierarchy:
    """Of cgroups: where it is mounted, with which options, and the folder there that machines' are in."""

    def __init__(self, mounted, options="", ours=""):
        self.mounted, self.options, self.unified = mounted, options, not options
        self.folder = f"{mounted}{ours}/flannel-e2e"

    def mount(self):
        os.makedirs(self.mounted, exist_ok=True)
        if self.unified:
            run("mount", "-t", "cgroup2", "cgroup2", self.mounted)
        else:
            run("mount", "-t", "cgroup", "-o", self.options, "cgroup", self.mounted)

    def make(self, name):
        """The cgroup of a machine, which is the root to it."""
        for folder in (self.folder, f"{self.folder}/{name}"):
            os.makedirs(folder, exist_ok=True)
            if self.options == "cpuset":  # a new one has no processors, and takes no process
                for file in ("cpuset.cpus", "cpuset.mems"):
                    write(f"{folder}/{file}", read(f"{os.path.dirname(folder)}/{file}"))
            elif self.unified:
                delegate(os.path.dirname(folder))
        return f"{self.folder}/{name}"


def delegate(group):
    """Lets the children of a cgroup v2 have all controllers that it has."""
    for controller in read(f"{group}/cgroup.controllers").split():
        write(f"{group}/cgroup.subtree_control", f"+{controller}")


def first_leaf(group):
    """Where processes of a machine begin."""
    return f"{group}/init" if os.path.isdir(f"{group}/init") else group


def leave_root(group):
    """With cgroup v2 what gives controllers to its children has no processes."""
    if os.path.exists(f"{group}/cgroup.controllers"):
        os.mkdir(f"{group}/init")
        for pid in read(f"{group}/cgroup.procs").split():
            write(f"{group}/init/cgroup.procs", pid)
        delegate(group)


def hierarchies():
    """Those of cgroup v1 that have controllers; where there are none, that of v2."""
    ours = {}
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in filter(None, controllers.split(",")):
            ours[controller] = path.rstrip("/")
    first, second = [], []
    for line in read("/proc/self/mounts").splitlines():
        _, mounted, kind, options, *_ = line.split()
        controllers = [option for option in options.split(",") if option in ours]
        if kind == "cgroup" and controllers:
            names = [f"none,{name}" if "=" in name else name for name in controllers]
            first.append(Hierarchy(mounted, ",".join(names), ours[controllers[0]]))
        elif kind == "cgroup2":
            second.append(Hierarchy(mounted))
    if not first and not second:
        raise RuntimeError("machines need cgroups, and none are mounted here")
    return first or second[:1]


class Machine:
    """What it keeps is below FOLDER: its changes of the host's files, its daemons' logs and pids."""

    def __init__(self, folder):
        self.folder, self.name = folder, os.path.basename(folder)

    @property
    def pid(self):
        """Of its first process, seen from here."""
        return int(read(f"{self.folder}/pid"))

    def start(self):
        """Boots it: also once more, after end(), with the files that it had."""
        os.makedirs(self.folder, exist_ok=True)
        groups = [hierarchy.make(self.name) for hierarchy in hierarchies()]
        write(f"{self.folder}/cgroups", groups)
        ready, told = os.pipe()
        # unshare complains when what it waits for is killed.
        log = open(f"{self.folder}/unshare.log", "a", encoding="utf-8")
        first = subprocess.Popen(
            ["unshare", *KINDS, "--fork", "--kill-child", "--propagation=private",
             sys.executable, __file__, self.folder, str(told)],
            pass_fds=[told], preexec_fn=self._join, start_new_session=True, stdin=subprocess.DEVNULL, stderr=log)
        log.close()
        os.close(told)
        answer = os.read(ready, 4096).decode()
        os.close(ready)
        if answer != "ready":
            first.kill()
            raise RuntimeError(f"{self.name}: {answer or 'it did not start'}")
        write(f"{self.folder}/pid", read(f"/proc/{first.pid}/task/{first.pid}/children").strip())
        for group in groups:
            leave_root(group)

    def _join(self):
        for group in json.loads(read(f"{self.folder}/cgroups")):
            write(f"{first_leaf(group)}/cgroup.procs", str(os.getpid()))

    def argv(self, *words):
        return ["nsenter", "-t", str(self.pid), "-a", *map(str, words)]

    def run(self, *words, **options):
        # Entering the namespace of cgroups is not joining one.
        return run(*self.argv(*words), preexec_fn=self._join, **options)

    def popen(self, *words, **options):
        return subprocess.Popen(self.argv(*words), preexec_fn=self._join, text=True, **options)

    def daemon(self, name, *words, path=None):
        """Starts a program that stays; its log is NAME.log."""
        script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
        folders = f"{path}:" if path else ""
        log = f"{self.folder}/{name}.log"
        pid = self.run("env", f"PATH={folders}{os.environ['PATH']}", "sh", "-c", script, "sh", log, *words)
        write(f"{self.folder}/{name}.pid", pid.strip())

    def end(self):
        """Ends all that runs there."""
        if os.path.exists(f"{self.folder}/pid"):
            pid = self.pid
            if os.path.exists(f"/proc/{pid}") and f"/flannel-e2e/{self.name}" in read(f"/proc/{pid}/cgroup"):
                os.kill(pid, signal.SIGKILL)
                wait(f"{self.name} to end", lambda: has_ended(pid), 30)
            os.unlink(f"{self.folder}/pid")
        if os.path.exists(f"{self.folder}/cgroups"):
            for group in json.loads(read(f"{self.folder}/cgroups")):
                wait(f"{group} to be empty", lambda group=group: remove_cgroup(group), 30)
            os.unlink(f"{self.folder}/cgroups")


def has_ended(pid):
    return not os.path.exists(f"/proc/{pid}") or ") Z " in read(f"/proc/{pid}/stat")


def remove_cgroup(group):
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
    try:
        os.rmdir(os.path.dirname(group))
    except OSError:
        pass  # other machines are still there
    return True


def boot(folder):
    """Runs as the first process of a machine: its file systems."""
    machine = Machine(folder)
    mounts = hierarchies()
    # Namespaces of the host's are not ours to hold.
    subprocess.run(["umount", "-R", "-l", "/run/netns"], stderr=subprocess.DEVNULL, check=False)
    run("mount", "-t", "proc", "proc", "/proc")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for hierarchy in mounts:
        hierarchy.mount()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path in ("/run/netns", "/run/lock"):
        os.makedirs(path)
    for name in ("etc", "opt", "var"):  # the host's, with what this machine changes on top
        for layer in ("upper", "work"):
            os.makedirs(f"{folder}/{layer}/{name}", exist_ok=True)
        layers = f"lowerdir=/{name},upperdir={folder}/upper/{name},workdir={folder}/work/{name}"
        run("mount", "-t", "overlay", "-o", layers, "overlay", f"/{name}")
    # containerd stacks overlays of its own; the others are looked at from outside.
    for name in ("containerd", "kubelet", "cni", "flannel"):
        os.makedirs(f"{folder}/lib/{name}", exist_ok=True)
        os.makedirs(f"/var/lib/{name}", exist_ok=True)
        run("mount", "--bind", f"{folder}/lib/{name}", f"/var/lib/{name}")
    if not os.path.exists(f"{folder}/booted"):
        for path in ("/etc/cni/net.d", "/opt/cni/bin"):
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
        write("/etc/hostname", machine.name + "\n")
        write("/etc/resolv.conf", "")
        write("/etc/hosts", f"127.0.0.1 localhost {machine.name}\n")
        write(f"{folder}/booted", "")
    run("mount", "--make-rshared", "/")
    run("hostname", machine.name)
    run("ip", "link", "set", "lo", "up")
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "bridge/bridge-nf-call-iptables",
                    "bridge/bridge-nf-call-ip6tables"):
        if os.path.exists(f"/proc/sys/net/{setting}"):
            write(f"/proc/sys/net/{setting}", "1")


def reap():
    while True:
        signal.sigwait([signal.SIGCHLD])
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def main():
    folder, told = sys.argv[1], int(sys.argv[2])
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        boot(folder)
    except Exception as error:
        os.write(told, str(error).encode())
        sys.exit(1)
    os.chdir("/")
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.write(told, b"ready")
    os.close(told)
    reap()


if __name__ == "__main__":
    main()
