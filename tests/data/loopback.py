"""A real HTTP server on loopback: answers ranges, and breaks off, fails or changes when told to."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and how badly.

    Attributes:
        files: content by path.
        breaks: bytes after which each of the next answers breaks off.
        codes: answers that come before any file does.
        ranges: whether ``Range`` is understood.
        tags: whether files have an ETag.
        requests: (path, value of Range) of all requests so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ranges: bool = True
    tags: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve ``site`` at its ``address`` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers.get("Range")))
            content = site.files.get(self.path)
            if site.codes:
                self.send_error(site.codes.pop(0))
            elif content is None:
                self.send_error(404)
            else:
                self._send(content)

        def _send(self, content: bytes) -> None:
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            span = self.headers.get("Range")
            start = 0
            if span and site.ranges and self.headers.get("If-Range") in (None, tag):
                start = int(span.removeprefix("bytes=").rstrip("-"))
            if start >= len(content) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            if site.tags:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if site.breaks:
                body = body[: site.breaks.pop(0)]
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
