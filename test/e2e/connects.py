"""New TCP connections at a steady rate, until SIGTERM: prints how many there were, and which had no answer in time.

usage: connects.py ADDRESS PORT PER_SECOND  |  connects.py accept PORT
"""
import errno
import json
import selectors
import signal
import socket
import sys
import time

# A SYN that is lost is sent again after a second.
PATIENCE = 0.9


def accept(port):
    """Takes connections as they come: a small server's backlog drops them when the machine is busy."""
    server = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    while True:
        server.accept()[0].close()


class Connects:
    def __init__(self, address, port, rate):
        self.to, self.step = (address, int(port)), 1 / float(rate)
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.selector, self.open = selectors.DefaultSelector(), {}
        self.count, self.failures = 0, []
        self.begin, self.stopped = time.monotonic(), False

    def start_one(self):
        connection = socket.socket(self.family)
        connection.setblocking(False)
        connection.connect_ex(self.to)
        self.selector.register(connection, selectors.EVENT_WRITE)
        self.open[connection] = time.monotonic()
        self.count += 1

    def end(self, connection, why=None):
        self.selector.unregister(connection)
        since = self.open.pop(connection)
        connection.close()
        if why:
            self.failures.append(f"{since - self.begin:.2f} s: {why}")

    def run(self):
        due = time.monotonic()
        while not self.stopped or self.open:
            if not self.stopped and time.monotonic() >= due:
                self.start_one()
                due += self.step
            for key, _ in self.selector.select(min(max(due - time.monotonic(), 0), 0.02)):
                error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.end(key.fileobj, errno.errorcode[error] if error else None)
            limit = time.monotonic() - PATIENCE
            for connection in [one for one, since in self.open.items() if since < limit]:
                self.end(connection, "no answer")
        print(json.dumps({"connections": self.count, "failed": len(self.failures), "failures": self.failures}))

    def stop(self, *_):
        self.stopped = True


if __name__ == "__main__":
    if sys.argv[1] == "accept":
        accept(sys.argv[2])
    else:
        connects = Connects(*sys.argv[1:4])
        signal.signal(signal.SIGTERM, connects.stop)
        connects.run()
