"""uvicorn on a unix socket, without what an idle server spends time on."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import ClassVar

from starlette.types import ASGIApp
from uvicorn import Config, Server

from holdfast.errors import Exit, HoldfastError


class SocketTaken(HoldfastError):
    """Something that is not ours stands where the socket belongs."""

    exit: ClassVar[Exit] = Exit.FAILURE


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

    def __init__(self, app: ASGIApp, path: str, *, stop_grace_s: float) -> None:
        self._path = path
        config = Config(
            app,
            http="httptools",
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=max(1, int(stop_grace_s)),
        )
        self._server = QuietServer(config)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._socket = bind(self._path)
        self._task = asyncio.ensure_future(self._serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Take no new requests, let running ones finish within the grace, remove the socket."""
        self._server.end()
        if self._task is not None:
            await self._task
        with suppress(OSError):
            os.unlink(self._path)

    async def _serve(self) -> None:
        # Server.serve would take over the signals, which belong to the daemon.
        await self._server._serve([self._socket] if self._socket else None)  # noqa: SLF001


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
