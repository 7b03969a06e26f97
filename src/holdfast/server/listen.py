"""uvicorn on a socket, without what an idle server spends time on."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.errors import Exit, HoldfastError
from holdfast.governor.protocol import Level, Usage

WRITE_BUFFER_BYTES: Final = 2_048  # of what a client has not taken; then its answer waits


class SocketTaken(HoldfastError):
    """Something that is not ours stands where the socket belongs."""

    exit: ClassVar[Exit] = Exit.FAILURE


class PortTaken(HoldfastError):
    """Something else listens on the port."""

    exit: ClassVar[Exit] = Exit.FAILURE


class Place(Protocol):
    """Where a server listens."""

    def bind(self) -> socket.socket: ...

    def leave(self) -> None:
        """After the last connection."""


class FrugalProtocol(HttpToolsProtocol):
    """Holds little of what a client does not take: a thousand that are slow are no rare sight."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)


class QuietServer(Server):
    """Waits for its end instead of waking ten times a second to see whether it came."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        await self._ending.wait()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()


class Listener:
    """The socket and its server, from first connection to last."""

    def __init__(self, app: ASGIApp, place: Place, *, stop_grace_s: float) -> None:
        self._place = place
        self._outgoing: Final = _Outgoing(app)
        config = Config(
            self._outgoing,
            http=FrugalProtocol,
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=max(1, int(stop_grace_s)),
        )
        self._server = QuietServer(config)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._socket = self._place.bind()
        self._task = asyncio.ensure_future(self._serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Take no new requests, let running ones finish within the grace, leave the place."""
        self._server.end()
        if self._task is not None:
            await self._task
            self._place.leave()

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    @property
    def answers(self) -> int:
        """Which are being made or sent."""
        return self._outgoing.answers

    @property
    def unsent_bytes(self) -> int:
        """Of answers: what is made, and what waits in buffers for somebody to take it."""
        buffered_bytes = 0
        for connection in self._server.server_state.connections:
            transport = getattr(connection, "transport", None)  # of one that has just begun: None
            if transport is not None:
                buffered_bytes += transport.get_write_buffer_size()
        return self._outgoing.bytes + buffered_bytes

    async def _serve(self) -> None:
        # Server.serve would take over the signals, which belong to the daemon.
        await self._server._serve([self._socket] if self._socket else None)  # noqa: SLF001


class _Outgoing:
    """Counts what an app hands over to be sent, for as long as it is held here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app
        self.bytes = 0
        self.answers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            size = len(message.get("body", b""))
            self.bytes += size
            try:
                await send(message)
            finally:
                self.bytes -= size

        self.answers += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self.answers -= 1


class Answers:
    """What is made and not yet taken by whoever asked, as a component of the governor.

    Long answers are made a piece at a time and no faster than they are taken, so this is small
    unless many take at once.
    """

    name: Final = "answers"

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners: Final = listeners

    def usage(self) -> Usage:
        return Usage(
            bytes=sum(each.unsent_bytes for each in self._listeners),
            items=sum(each.answers for each in self._listeners),
            limit_bytes=None,
        )

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing: what is begun is finished; new ones are put off (`admission`)."""
        return 0


class UnixPlace:
    """A socket in the file system, for its owner alone."""

    def __init__(self, path: str) -> None:
        self._path: Final = path

    def bind(self) -> socket.socket:
        return bind(self._path)

    def leave(self) -> None:
        with suppress(OSError):
            os.unlink(self._path)


class LoopbackPlace:
    """A port that this machine alone can reach."""

    def __init__(self, port: int) -> None:
        self._port: Final = port

    def bind(self) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", self._port))
        except OSError as error:
            listening.close()
            raise PortTaken(
                f"cannot listen on 127.0.0.1:{self._port} ({error.strerror}): no figures are "
                "served there. Set server.loopback_port to another one and restart"
            ) from error
        listening.setblocking(False)
        return listening

    def leave(self) -> None:
        """A port is free when its socket is closed."""


def bind(path: str) -> socket.socket:
    """A listening socket that only its owner can open; a dead one left behind is replaced."""
    if os.path.exists(path):
        if not _is_socket(path):
            raise SocketTaken(f"{path} is in the way of holdfast's socket: move it away")
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(path)
    except OSError as error:
        listening.close()
        raise SocketTaken(
            f"cannot listen on {path} ({error.strerror}): check its folder, or set HOLDFAST_HOME"
        ) from error
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def _is_socket(path: str) -> bool:
    import stat

    return stat.S_ISSOCK(os.lstat(path).st_mode)
