"""A network of namespaces whose packets are late, lost or cut off in either direction.

Each member lives in a network namespace with one TUN device, and a thread here carries packets between these. So no
kernel module for emulation is needed, only root, `ip` and `/dev/net/tun`. Delays are drawn for each packet: some
overtake others, as behind `netem`.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLONE_NEWNET = 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x4004_54CA, 0x0001, 0x1000
NAMES = Path("/run/netns")

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Line:
    """What happens to packets in one direction: seconds, and the share that is lost."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0


def available() -> None:
    """Skips what needs this where it cannot be had, loudly."""
    try:
        with contextlib.closing(Network(["probe"])) as network, network.within("probe"):
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here ({error}): what partitions would have shown is NOT shown")


class Network:
    """Namespaces by name, the first with the address 10.77.0.1 and so on."""

    def __init__(self, names: list[str], seed: int = 1):
        self._rng, self._lines, self._cut = random.Random(seed), Line(), set()
        self._numbers, self._tuns = {name: at for at, name in enumerate(names, 1)}, {}
        self._over = threading.Event()
        self._carrier = threading.Thread(target=self._carry, daemon=True)
        self.carried = self.lost = 0
        try:
            for name in names:
                self._add(name)
        except BaseException:
            self._remove()
            raise
        self._carrier.start()

    def address(self, name: str) -> str:
        return f"10.77.0.{self._numbers[name]}"

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """This thread, its new sockets and its new children are inside."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(NAMES / full(name))
            yield
        finally:
            check(libc.setns(before, CLONE_NEWNET))
            os.close(before)

    def lines(self, line: Line) -> None:
        """From now on all packets fare like this."""
        self._lines = line

    def cut(self, sender: str, receiver: str) -> None:
        """Packets of one direction vanish."""
        self._cut.add((self._numbers[sender], self._numbers[receiver]))

    def heal(self) -> None:
        self._cut.clear()

    def close(self) -> None:
        self._over.set()
        self._carrier.join()
        self._remove()

    def _add(self, name: str) -> None:
        ip("netns", "add", full(name))
        with self.within(name):
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self._tuns[self._numbers[name]] = tun
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
        for command in (["link", "set", "lo", "up"], ["addr", "add", f"{self.address(name)}/24", "dev", "wire"]):
            ip("-n", full(name), *command)
        ip("-n", full(name), "link", "set", "wire", "up")

    def _remove(self) -> None:
        for tun in self._tuns.values():
            os.close(tun)
        for name in self._numbers:
            if (NAMES / full(name)).exists():
                ip("netns", "del", full(name))

    def _carry(self) -> None:
        """Takes packets from devices, and puts them into others when they are due."""
        selector, under_way, order = selectors.DefaultSelector(), [], itertools.count()
        for number, tun in self._tuns.items():
            selector.register(tun, selectors.EVENT_READ, number)
        while not self._over.is_set():
            due = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.1
            for key, _ in selector.select(min(due, 0.1)):
                for packet in packets(key.fd):
                    if (receiver := self._route(key.data, packet)) is not None:
                        heapq.heappush(under_way, (self._due(), next(order), receiver, packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, receiver, packet = heapq.heappop(under_way)
                # A full queue loses packets as well.
                with contextlib.suppress(OSError):
                    os.write(receiver, packet)
        selector.close()

    def _route(self, sender: int, packet: bytes) -> int | None:
        """The device that a packet is for, if it gets there."""
        if packet[0] >> 4 != 4:
            return None
        receiver = packet[19] if socket.inet_ntoa(packet[16:20]).startswith("10.77.0.") else 0
        if (sender, receiver) in self._cut or self._rng.random() < self._lines.loss:
            self.lost += 1
            return None
        self.carried += 1
        return self._tuns.get(receiver)

    def _due(self) -> float:
        line = self._lines
        return time.monotonic() + max(0.0, line.delay + self._rng.uniform(-line.jitter, line.jitter))


def packets(tun: int) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield os.read(tun, 65_535)


def full(name: str) -> str:
    """Of this process alone."""
    return f"sigward-{os.getpid()}-{name}"


def enter(path: Path) -> None:
    namespace = os.open(path, os.O_RDONLY)
    try:
        check(libc.setns(namespace, CLONE_NEWNET))
    finally:
        os.close(namespace)


def check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)
    except FileNotFoundError:
        raise OSError("ip is not installed")
