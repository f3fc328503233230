"""The application under fire: it says with every answer which code gave it, in each way that HTTP has.

/               the tag, at once
/stream         the tag on a line each, ``n`` of them, ``every_ms`` apart; ``/events`` as server-sent events
/upload         the tag, the length and the SHA-256 of what was sent
/slow           the tag, after ``ms``
anything, as a websocket    for each text the tag and the text, until the client goes
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["MAIN", "write"]

MAIN = """
import asyncio, hashlib
from pathlib import Path
from urllib.parse import parse_qsl

TAG = Path("version.txt").read_text()


class Asgi:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await self.talk(receive, send)
        else:
            asked = {k: int(v) for k, v in parse_qsl(scope["query_string"].decode())}
            await self.answer(scope["path"], asked, receive, send)

    async def talk(self, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{TAG} {event.get('text')}"})

    async def answer(self, path, asked, receive, send):
        text = TAG
        if path in ("/stream", "/events"):
            return await self.stream(path == "/events", asked, send)
        if path == "/upload":
            size, digest = await self.read(receive)
            text = f"{TAG} {size} {digest}"
        if path == "/slow":
            await asyncio.sleep(asked.get("ms", 500) / 1000)
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    async def stream(self, events, asked, send):
        kind, line = (b"text/event-stream", "data: {}\\n\\n") if events else (b"text/plain", "{}\\n")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for _ in range(asked.get("n", 5)):
            await send({"type": "http.response.body", "body": line.format(TAG).encode(), "more_body": True})
            await asyncio.sleep(asked.get("every_ms", 100) / 1000)
        await send({"type": "http.response.body", "body": b""})

    async def read(self, receive):
        size, digest, more = 0, hashlib.sha256(), True
        while more:
            event = await receive()
            size += len(event.get("body", b""))
            digest.update(event.get("body", b""))
            more = event.get("more_body", False)
        return size, digest.hexdigest()


app = Asgi()
"""

SERVED = """
from ray import serve

@serve.deployment(num_replicas=REPLICAS, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
@serve.ingress(app)
class App:
    pass

app = App.bind()
"""


def write(folder: Path, tag: str, *, served: bool, replicas: int = 1) -> Path:
    """Write the application with this ``tag``, as an ASGI app or ``served`` by Ray Serve; give its folder."""
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(MAIN + (SERVED.replace("REPLICAS", str(replicas)) if served else ""))
    (folder / "version.txt").write_text(tag)
    return folder
