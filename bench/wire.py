"""A wire between network namespaces, for machines whose kernel has no netem: wire.py DELAY_MS LOSS SEED NAME=ADDRESS=BYTES_PER_SECOND ...

Makes a TUN device NAME for each host, which is to be moved into the host's namespace, and says "ready". Each packet that a host sends
waits for its turn at the host's rate (0: none), then DELAY_MS; so many of them as LOSS says are dropped. Ends with its standard input.
"""

import fcntl
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
# Seconds of a host's rate that may wait for their turn; what comes then is dropped, as a router does.
QUEUE_SECONDS = 0.1
# Packets read of one host at a time.
BATCH = 64


class Host:
    def __init__(self, text):
        name, address, rate = text.split("=")
        self.address = socket.inet_aton(address)
        self.rate = float(rate)
        self.free_at = 0.0
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))

    def leaves_at(self, now, size):
        """When a packet has left; None when too much waits."""
        if self.rate == 0:
            return now
        begin = max(self.free_at, now)
        if begin - now > QUEUE_SECONDS:
            return None
        self.free_at = begin + size / self.rate
        return self.free_at


def main():
    delay, loss = float(sys.argv[1]) / 1000, float(sys.argv[2])
    chance = random.Random(int(sys.argv[3]))
    hosts = [Host(text) for text in sys.argv[4:]]
    by_fd = {host.fd: host for host in hosts}
    by_address = {host.address: host for host in hosts}
    poll = select.epoll()
    for host in hosts:
        poll.register(host.fd, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    print("ready", flush=True)
    under_way, number = [], 0
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else -1
        for fd, _ in poll.poll(wait):
            if fd == 0:
                if not os.read(0, 4096):
                    return
                continue
            sender = by_fd[fd]
            for _ in range(BATCH):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                except OSError:
                    # The device is not up yet, or its namespace is gone.
                    break
                target = by_address.get(packet[16:20])
                if target is None or packet[0] >> 4 != 4:
                    continue
                at = sender.leaves_at(time.monotonic(), len(packet))
                if at is None or chance.random() < loss:
                    continue
                number += 1
                heapq.heappush(under_way, (at + delay, number, target.fd, packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, fd, packet = heapq.heappop(under_way)
            try:
                os.write(fd, packet)
            except OSError:
                pass  # It is lost, as on a wire.


main()
