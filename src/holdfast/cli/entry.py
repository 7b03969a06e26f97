"""Where `holdfast` starts. `status --json` is answered here, before anything large is imported.

That command is what prompts, status bars and scripts call all day: a raw request over the socket
costs little more than the interpreter itself. Whatever is not that command, and whatever goes wrong
with it, is left to the command line proper.
"""

from __future__ import annotations

import os
import sys

_REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TIMEOUT_S = 10.0


def main() -> int:
    if sys.argv[1:] == ["status", "--json"] and _print_status():
        return 0
    from holdfast.cli.main import run

    return run(sys.argv[1:])


def _print_status() -> bool:
    """Print the daemon's answer; False when there is none."""
    import _socket  # the C module alone: `socket` costs as much as the request

    from holdfast.paths import Paths

    paths = Paths.from_env(os.environ)
    answer = bytearray()
    try:
        paths.check_socket_dir()
        asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        asking.settimeout(_TIMEOUT_S)
        asking.connect(paths.socket)
        asking.sendall(_REQUEST)
        while chunk := asking.recv(65_536):
            answer += chunk
        asking.close()
    except OSError:
        return False
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return False
    try:
        sys.stdout.buffer.write(bytes(body) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read us had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    sys.exit(main())
