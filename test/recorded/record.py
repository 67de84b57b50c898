#!/usr/bin/env python3
"""Records what the kernel of one network namespace answers to the dumps that flanneld makes.

usage: ip netns exec NAMESPACE python3 record.py > FILE
One line a datagram: what was asked for, and the answer in hex. adoption_test.cc reads such files; the ones here were
recorded on Linux 6.18 from a node on which the Go flannel (v0.28) ran.
"""
import socket, struct

AF_INET, AF_INET6, AF_BRIDGE = 2, 10, 7
NLM_F_REQUEST, NLM_F_DUMP, NLMSG_DONE = 1, 0x300, 3
IFINFO = struct.pack("=BxHiII", 0, 0, 0, 0, 0)


def ndmsg(family, index):
    return struct.pack("=BxxxiHBB", family, index, 0, 0, 0)


def rtmsg(family):
    return struct.pack("=BBBBBBBBI", family, 0, 0, 0, 254, 0, 0, 0, 0)


DUMPS = [
    ("links", 18, IFINFO),
    ("addresses", 22, struct.pack("=BBBBI", 0, 0, 0, 0, 0)),
    ("neighbours", 30, ndmsg(0, 0)),
    ("fdb", 30, ndmsg(AF_BRIDGE, 0)),
    ("nexthops", 106, struct.pack("=BBBBI", 0, 0, 0, 0, 0)),
    ("routes", 26, rtmsg(AF_INET)),
    ("routes", 26, rtmsg(AF_INET6)),
]


def main():
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    for name, kind, header in DUMPS:
        link.send(struct.pack("=IHHII", 16 + len(header), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + header)
        done = False
        while not done:
            data = link.recv(1 << 16)
            print(name, data.hex())
            at = 0
            while at + 16 <= len(data):
                length, found = struct.unpack_from("=IH", data, at)
                done = done or found == NLMSG_DONE
                at += (length + 3) & ~3


if __name__ == "__main__":
    main()
