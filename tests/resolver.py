"""A namespace without a network, with a resolver that writes down which names are looked up: `python resolver.py LOG COMMAND...`.

It is entered by `unshare --user --map-root-user --net --mount`; the loopback comes up, and /etc/resolv.conf leads to this program.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41
_MS_BIND = 4096
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--mount")


def is_possible() -> bool:
    """Say whether this machine lets a test make namespaces of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def names_looked_up(
    command: Sequence[str], log: Path, environment: dict[str, str], cwd: Path
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a command where there is no network; return how it ended and every name that it asked a resolver for."""
    done = subprocess.run(
        [*_NAMESPACE, sys.executable, __file__, str(log), *command],
        env=environment, cwd=cwd, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done, log.read_text(encoding="utf-8").splitlines()


def _name(question: bytes) -> str:
    """Return the name in a question of the DNS."""
    labels, at = list[str](), 12
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace"))
        at += 1 + question[at]
    return ".".join(labels)


def _write_down(server: socket.socket, log: Path) -> None:
    """Write down each name that is asked for, and reply that there is no such name."""
    while True:
        question, sender = server.recvfrom(4096)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{_name(question)}\n")
        server.sendto(question[:2] + b"\x81\x83" + question[4:6] + b"\0" * 6 + question[12:], sender)


def main(log: Path, command: Sequence[str]) -> int:
    """Bring up the loopback and the resolver, run the command, and return its exit status."""
    import ctypes

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    log.write_text("", encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        conf.flush()
        libc = ctypes.CDLL(None, use_errno=True)
        target = os.path.realpath("/etc/resolv.conf").encode()
        if libc.mount(conf.name.encode(), target, None, _MS_BIND, None):
            raise OSError(ctypes.get_errno(), "resolv.conf cannot be replaced")
        threading.Thread(target=_write_down, args=(server, log), daemon=True).start()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
