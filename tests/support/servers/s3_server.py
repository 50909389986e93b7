"""A small server of objects on loopback that answers what a reader asks of S3: lists (ListObjectsV2), sizes, ranges.

It holds what a folder holds, checks that a request is signed with the key that it knows, and can be told to refuse.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY, BUCKET, PAGE = "test-key", "lake", 3
"""The access key, the bucket, and how many objects a page of a list has."""


@contextmanager
def serving(folder: Path):
    """Serve a folder as the bucket; gives the settings that a client reads from its environment."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _send(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            if f"Credential={KEY}/" not in self.headers.get("authorization", ""):
                return self._send(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
            asked = urlsplit(self.path)
            key = unquote(asked.path).removeprefix(f"/{BUCKET}").lstrip("/")
            if not key:
                return self._list({name: values[0] for name, values in parse_qs(asked.query).items()})
            path = folder / key
            if not path.is_file():
                return self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            body, status, more = path.read_bytes(), 200, {}
            if wanted := self.headers.get("range"):
                first, last = (int(part) if part else None for part in wanted.removeprefix("bytes=").split("-"))
                more = {"content_range": f"bytes {first}-{min(last or len(body), len(body) - 1)}/{len(body)}"}
                body, status = body[first : None if last is None else last + 1], 206
            headers = {"etag": '"1"', "last_modified": "Mon, 16 Nov 2026 06:00:00 GMT", **more}
            return self._send(status, body, **headers)

        def _list(self, query):
            prefix, after = query.get("prefix", ""), int(query.get("continuation-token", 0))
            keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            keys = [key for key in keys if key.startswith(prefix)]
            page, more = keys[after : after + PAGE], len(keys) > after + PAGE
            entries = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-16T06:00:00.000Z</LastModified>"
                f'<ETag>"1"</ETag><Size>{(folder / key).stat().st_size}</Size></Contents>'
                for key in page
            )
            token = f"<NextContinuationToken>{after + PAGE}</NextContinuationToken>" if more else ""
            told = f"<Name>{BUCKET}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
            self._send(200, f"<ListBucketResult>{told}</ListBucketResult>".encode(), content_type="application/xml")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "AWS_ALLOW_HTTP": "true",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
