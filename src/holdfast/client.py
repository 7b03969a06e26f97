"""Asking a running daemon. Standard library only: every command that only asks starts fast."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from holdfast.errors import Exit, HoldfastError
from holdfast.paths import Paths

CHUNK_BYTES: Final = 65_536
CONNECT_TIMEOUT_S: Final = 2.0
HEALTH_PATIENCE_S: Final = 5.0  # it is answered from the event loop, without the journal
PUT_OFF_MAX_S: Final = 10.0  # in all, for a daemon that is short of memory


class NotRunning(HoldfastError):
    """No daemon answers."""

    exit: ClassVar[Exit] = Exit.NOT_RUNNING


class NotAnswering(NotRunning):
    """Somebody holds the socket and says nothing."""


class Refused(HoldfastError):
    """The daemon answered with an error; its exit code becomes ours."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class PutOff(Refused):
    """The daemon is short of memory: it says when to come again, and nothing has begun."""

    def __init__(self, message: str, code: int, retry_after_s: float) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, patience_s: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._patience_s = patience_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        self.sock.connect(self._path)
        self.sock.settimeout(self._patience_s)


class Client:
    """One request at a time; answers are JSON or streams of bytes."""

    def __init__(
        self,
        paths: Paths,
        *,
        patience_s: float | None = None,
        put_off_max_s: float = PUT_OFF_MAX_S,
    ) -> None:
        """Without `patience_s` an answer is waited for as long as it takes."""
        self._paths = paths
        self._patience_s = patience_s
        self._put_off_max_s = put_off_max_s

    def is_running(self) -> bool:
        """Whether a daemon answers; one that hangs does not."""
        patience_s = HEALTH_PATIENCE_S
        if self._patience_s is not None:
            patience_s = min(patience_s, self._patience_s)
        try:
            Client(self._paths, patience_s=patience_s).get("/v1/health")
        except NotRunning:
            return False
        return True

    def get(self, path: str, **query: object) -> Any:
        return json.loads(b"".join(self.stream("GET", path, **query)))

    def post(self, path: str, /, **query: object) -> Any:
        return json.loads(b"".join(self.stream("POST", path, **query)))

    def send(self, path: str, body: object, /) -> Any:
        """A POST with a JSON body."""
        return json.loads(b"".join(self.stream("POST", path, body=body)))

    def stream(
        self, method: str, path: str, /, *, body: object = None, **query: object
    ) -> Iterator[bytes]:
        """Comes again for as long as is sensible while the daemon puts it off."""
        waited_s = 0.0
        while True:
            try:
                yield from self._stream_once(method, path, body, query)
            except PutOff as put_off:
                waited_s += put_off.retry_after_s
                if waited_s > self._put_off_max_s:
                    raise
                time.sleep(put_off.retry_after_s)
            else:
                return

    def _stream_once(
        self, method: str, path: str, body: object, query: Mapping[str, object]
    ) -> Iterator[bytes]:
        asked = urlencode({key: value for key, value in query.items() if value not in (None, "")})
        connection = UnixConnection(self._paths.socket, self._patience_s)
        try:
            self._paths.check_socket_dir()
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, quote(path) + (f"?{asked}" if asked else ""), sent)
            response = connection.getresponse()
        except TimeoutError as error:
            connection.close()
            raise NotAnswering(
                "holdfast runs and does not answer: `holdfast doctor` looks at it, `holdfast stop` "
                "ends it, `holdfast start` starts it anew"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotRunning("holdfast is not running: start it with `holdfast start`") from error
        try:
            if response.status >= http.client.BAD_REQUEST:
                raise refused(response)
            yield from _chunks(response)
        except (http.client.IncompleteRead, ConnectionError) as error:
            raise NotRunning("holdfast stopped in the middle of its answer: try again") from error
        finally:
            connection.close()

    def lines(
        self, method: str, path: str, *, body: object = None, **query: object
    ) -> Iterator[Any]:
        """A stream of JSON lines, each as soon as it is there."""
        rest = b""
        for chunk in self.stream(method, path, body=body, **query):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield json.loads(line)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """`read1` alone does not tell an answer that ends too early from one that is whole."""
    left = response.length  # None where the answer itself says where it ends
    while chunk := response.read1(CHUNK_BYTES):
        left = None if left is None else left - len(chunk)
        yield chunk
    if left:
        raise http.client.IncompleteRead(b"", left)


def refused(response: http.client.HTTPResponse) -> Refused:
    return problem_of(response.read(), response.status, response.getheader("Retry-After", ""))


def problem_of(body: bytes, status: int, later: str) -> Refused:
    """What an answer that is no success says; `later` is when to come again."""
    try:
        problem = json.loads(body)
        if later.isdecimal():
            return PutOff(problem["error"], problem["exit"], float(later))
        return Refused(problem["error"], problem["exit"])
    except (ValueError, KeyError, TypeError):
        text = body.decode("utf-8", "replace")
        return Refused(f"the daemon answered {status}: {text}", Exit.FAILURE)
