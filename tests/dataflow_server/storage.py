"""What Google's storage client asks of Cloud Storage's JSON API, in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Mapping
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.http_server import Answer, Request

_OBJECT = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)")
_COPY = re.compile(_OBJECT.pattern + r"/(?P<how>copyTo|rewriteTo)/b/(?P<to>[^/]+)/o/(?P<as>[^/]+)")


class Storage:
    """Buckets, which exist when they are asked for, and their objects.

    Attributes:
        objects: (bucket, name) to content.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self._generations: dict[tuple[str, str], int] = {}
        self._uploads: dict[str, tuple[str, str, bytearray]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def read(self, url: str) -> bytes:
        """The content of `gs://bucket/name`."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        return self.objects[bucket, name]

    def put(self, url: str, content: bytes) -> None:
        """Make `gs://bucket/name`."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        self._put((bucket, name), content)

    def names(self, bucket: str) -> list[str]:
        return sorted(name for owner, name in self.objects if owner == bucket)

    def answer(self, request: Request) -> Answer:
        """What a request for storage is answered with."""
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = url.path
        if path == "/batch/storage/v1":
            return self._batch(request)
        if path.startswith("/upload/"):
            return self._upload(request, path.removeprefix("/upload"), query)
        copied = _COPY.fullmatch(path)
        if copied and request.method == "POST":
            return self._copy(*map(unquote, copied.group("bucket", "name", "to", "as", "how")))
        found = _OBJECT.fullmatch(path.removeprefix("/download"))
        if found:
            key = (found["bucket"], unquote(found["name"]))
            return self._object(request, key, query)
        bucket = path.removeprefix("/storage/v1/b/")
        if bucket.endswith("/o") and request.method == "GET":
            return self._list(bucket.removesuffix("/o"), query)
        if re.fullmatch(r"[^/]+", bucket) and request.method == "GET":
            return Answer({"kind": "storage#bucket", "id": bucket, "name": bucket})
        return Answer({"error": {"code": 404, "message": f"no {request.method} {path}"}}, 404)

    def _object(self, request: Request, key: tuple[str, str], query: Mapping[str, str]) -> Answer:
        content = self.objects.get(key)
        if content is None:
            return Answer({"error": {"code": 404, "message": f"no object {key}"}}, 404)
        if request.method == "DELETE":
            del self.objects[key]
            return Answer(b"", 204)
        if query.get("alt") != "media":
            return Answer(self._resource(key))
        headers = {"content-type": "application/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not asked:
            return Answer(content, 200, headers)
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            return Answer(b"", 416, {"content-range": f"bytes */{len(content)}"})
        headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
        return Answer(content[first : last + 1], 206, headers)

    def _list(self, bucket: str, query: Mapping[str, str]) -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for name in self.names(bucket):
            if not name.startswith(prefix):
                continue
            below = name[len(prefix) :]
            if delimiter and delimiter in below:
                prefixes.add(prefix + below.partition(delimiter)[0] + delimiter)
            else:
                items.append(self._resource((bucket, name)))
        return Answer({"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)})

    def _copy(self, bucket: str, name: str, to: str, new: str, how: str) -> Answer:
        if (bucket, name) not in self.objects:
            return Answer({"error": {"code": 404, "message": f"no object {name}"}}, 404)
        self._put((to, new), self.objects[bucket, name])
        resource = self._resource((to, new))
        if how == "copyTo":
            return Answer(resource)
        size = resource["size"]
        return Answer(
            {"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": resource}
        )

    def _upload(self, request: Request, path: str, query: Mapping[str, str]) -> Answer:
        if "upload_id" in query:
            return self._chunk(request, query["upload_id"])
        bucket = path.removeprefix("/storage/v1/b/").removesuffix("/o")
        if query.get("uploadType") == "multipart":
            head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
            described, content = BytesParser().parsebytes(head + request.body).get_payload()
            name = json.loads(described.get_payload())["name"]  # type: ignore[union-attr,arg-type]
            raw = content.get_payload(decode=True)  # type: ignore[union-attr]
            assert isinstance(raw, bytes)
            return self._new((bucket, name), raw, query)
        name = query.get("name") or json.loads(request.body)["name"]
        number = str(next(self._numbers))
        self._uploads[number] = (bucket, name, bytearray())
        where = f"{request.base}/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
        return Answer({}, 200, {"location": f"{where}&upload_id={number}"})

    def _chunk(self, request: Request, number: str) -> Answer:
        bucket, name, content = self._uploads[number]
        content += request.body
        if request.headers.get("content-range", "/x").endswith("/*"):
            return Answer(b"", 308, {"range": f"bytes=0-{len(content) - 1}"})
        return self._new((bucket, name), bytes(content), {})

    def _new(self, key: tuple[str, str], content: bytes, query: Mapping[str, str]) -> Answer:
        if query.get("ifGenerationMatch") == "0" and key in self.objects:
            return Answer({"error": {"code": 412, "message": "it is there"}}, 412)
        self._put(key, content)
        return Answer(self._resource(key))

    def _put(self, key: tuple[str, str], content: bytes) -> None:
        self.objects[key] = content
        self._generations[key] = next(self._numbers)

    def _resource(self, key: tuple[str, str]) -> dict[str, Any]:
        bucket, name = key
        content = self.objects[key]
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}",
            "name": name,
            "bucket": bucket,
            "generation": str(self._generations[key]),
            "metageneration": "1",
            "size": str(len(content)),
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
            "crc32c": base64.b64encode(crc32c(content).to_bytes(4, "big")).decode(),
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "updated": "2026-01-01T00:00:00.000Z",
        }

    def _batch(self, request: Request) -> Answer:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = []
        for part in BytesParser().parsebytes(head + request.body).get_payload():
            inner = str(part.get_payload()).lstrip()  # type: ignore[union-attr]
            method, url, _ = inner.split(None, 2)
            path = urlsplit(url).path + (f"?{urlsplit(url).query}" if urlsplit(url).query else "")
            got = self._answer(Request(method, path, {}, b"", request.base))
            number = part["Content-ID"]  # type: ignore[index]
            body = got.content().decode()
            parts.append(
                "--part\r\nContent-Type: application/http\r\n"
                f"Content-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {got.status} x\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
            )
        text = "".join(parts) + "--part--\r\n"
        return Answer(text.encode(), 200, {"content-type": 'multipart/mixed; boundary="part"'})


def crc32c(content: bytes) -> int:
    """The checksum that Cloud Storage has of every object."""
    import google_crc32c

    return int(google_crc32c.value(content))
