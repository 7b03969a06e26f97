"""Where `holdfast` starts. Two commands are answered here, before anything large is imported.

`status --json` is what prompts, status bars and scripts call all day, `health` what probes of
containers call every few seconds: a raw request over the socket costs little more than the
interpreter itself. Whatever is not these commands, and whatever goes wrong with the first, is left
to the command line proper.
"""

from __future__ import annotations

import os
import sys

_REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 3.0  # less than what probes allow: then we say why, and nobody kills us
_UNWELL = ("", "starting", "stopping", "stopped")


def main() -> int:
    if sys.argv[1:] == ["status", "--json"] and _print_status():
        return 0
    if sys.argv[1:] == ["health"]:
        return check_health()
    from holdfast.cli.main import run

    return run(sys.argv[1:])


def check_health() -> int:
    """0 when the daemon answers and works, else 1: what container engines want of a probe."""
    try:
        body = _ask("/v1/health", _PROBE_TIMEOUT_S) or b""
    except Exception as error:  # noqa: BLE001  # whatever is wrong, a probe says so
        why = getattr(error, "strerror", None) or error
        print(f"holdfast does not answer ({why}): start it with `holdfast start`", file=sys.stderr)
        return 1
    # Not decoded as JSON: loading that takes as long as the rest.
    state = body.partition(b'"state":"')[2].partition(b'"')[0].decode("utf-8", "replace")
    print(state or "no state")
    return int(state in _UNWELL)


def _print_status() -> bool:
    """Print the daemon's answer; False when there is none."""
    try:
        body = _ask("/v1/status", _TIMEOUT_S)
    except OSError:
        return False
    if body is None:
        return False
    try:
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read us had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _ask(path: str, timeout_s: float) -> bytes | None:
    """The body of a success; None for every other answer."""
    import _socket  # the C module alone: `socket` costs as much as the request

    from holdfast.paths import Paths

    paths = Paths.from_env(os.environ)
    paths.check_socket_dir()
    answer = bytearray()
    asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        asking.settimeout(timeout_s)
        asking.connect(paths.socket)
        asking.sendall(_REQUEST % path.encode())
        while chunk := asking.recv(65_536):
            answer += chunk
    finally:
        asking.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return body if head.startswith(b"HTTP/1.1 200") else None


if __name__ == "__main__":
    sys.exit(main())
