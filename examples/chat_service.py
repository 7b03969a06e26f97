"""A chat service that cannot leak: an asyncio server that keeps every conversation it can afford.

    python examples/chat_service.py --port 8080
    curl -d 'hello' localhost:8080/say/alice
    curl -N localhost:8080/events/alice

Clients read a conversation as server-sent events, from its beginning or from `Last-Event-ID` on.
All conversations together stay below the budget of the store; when that is full, the one that was
quiet for longest leaves. When the process gets near its own budget, new words are refused with 503
and `Retry-After`, and the governor has the store give memory back.

The lines that do so are marked with `# holdfast`. Everything else would be there anyway.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from typing import Any

from holdfast import Governor, SessionStore  # holdfast
from holdfast.governor import Level

MAX_BODY_BYTES = 1_000_000


class Chat:
    def __init__(self, store_mb: int, process_mb: int) -> None:
        self.store = SessionStore(store_mb)  # holdfast
        self.governor = Governor.for_process(process_mb, self.store)  # holdfast
        self._news = asyncio.Condition()

    async def serve(self, host: str, port: int) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = await asyncio.start_server(self._answer, host, port)
        async with self.governor.watching():  # holdfast
            print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
            await stop.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, target, headers = await _read_head(reader)
            action, _, session = target.strip("/").partition("/")
            if (method, action) == ("POST", "say"):
                length = min(int(headers.get("content-length", "0")), MAX_BODY_BYTES)
                await self._say(writer, session, (await reader.readexactly(length)).decode())
            elif (method, action) == ("GET", "events"):
                await self._tell(
                    reader, writer, session, int(headers.get("last-event-id", "-1")) + 1
                )
            elif (method, action) == ("GET", "status"):
                _reply(writer, 200, self._status())
            else:
                _reply(writer, 404, {"error": "POST /say/SESSION, GET /events/SESSION, /status"})
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # whoever asked is gone, or does not speak HTTP
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, session: str, text: str) -> None:
        self.governor.look_soon()
        if self.governor.own_level >= Level.CRITICAL:
            _reply(writer, 503, {"error": "short of memory"}, "Retry-After: 5\r\n")
            return
        number = self.store.add(session, {"who": "user", "text": text})  # holdfast
        number = self.store.add(session, {"who": "bot", "text": f"You said: {text}"})
        async with self._news:
            self._news.notify_all()
        _reply(writer, 200, {"events": number})

    async def _tell(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: str, number: int
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        gone = asyncio.create_task(reader.read())  # ends when the client hangs up
        while not gone.done():
            for event in self.store.events(session, number):
                writer.write(f"id: {number}\ndata: {json.dumps(event)}\n\n".encode())
                number += 1
            await writer.drain()
            news = asyncio.create_task(self._news_of(session, number))
            await asyncio.wait([news, gone], return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if self.store.add(session) < number:
                number = 0  # it had left memory, and begins anew

    async def _news_of(self, session: str, number: int) -> None:
        """Until the next event has another number than the one that was told last."""
        async with self._news:
            await self._news.wait_for(lambda: self.store.add(session) != number)

    def _status(self) -> dict[str, Any]:
        taken = self.governor.snapshot()
        return {
            "pressure": taken.own.label,
            "process_bytes": taken.footprint_bytes,
            "sessions": len(self.store),
            "sessions_bytes": self.store.accounted_bytes,
            "evicted": self.store.status().evictions,
        }


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    return method, target, {name.lower(): value.strip() for name, _, value in pairs}


def _reply(writer: asyncio.StreamWriter, code: int, body: object, headers: str = "") -> None:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n{headers}"
    writer.write(f"{head}\r\n".encode() + content)


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat service that cannot leak.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--store-mb", type=int, default=64, help="for conversations")
    parser.add_argument("--process-mb", type=int, default=256, help="for all of it")
    asked = parser.parse_args()

    async def run() -> None:
        await Chat(asked.store_mb, asked.process_mb).serve("127.0.0.1", asked.port)

    asyncio.run(run())


if __name__ == "__main__":
    main()
