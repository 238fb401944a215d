"""Reading: resolve (with ranges), tree, paths-info, and the object store's downloads."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.hub.addresses import REPO, repo_id, repo_type
from tests.hub.context import Context, flag, paged
from tests.hub.errors import HubError, entry_not_found
from tests.hub.storage import Commit, File, Repo, folders

_RESOLVE = "/{namespace}/{name}/resolve/{revision}/{path:.+}"


class FileRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._access = context.access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(REPO + "/tree/{revision}", self.tree),
            web.get(REPO + "/tree/{revision}/{path:.+}", self.tree),
            web.post(REPO + "/paths-info/{revision}", self.paths_info),
            web.get("/{type:datasets|spaces}" + _RESOLVE, self.resolve),
            web.get(_RESOLVE, self.resolve),
        ]

    def storage_routes(self) -> list[web.RouteDef]:
        return [web.get("/objects/{type}/{namespace}/{name}/{sha256}", self.download)]

    # -- contents ----------------------------------------------------------------------------

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        repo = self._access.read_files(request, repo_id(request), repo_type(request))
        commit = repo.resolve(request.match_info["revision"])
        path = request.match_info["path"]
        headers = {"X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            error = entry_not_found(path).response()
            error.headers.update(headers)  # the client remembers that this commit lacks the file
            return error
        file = commit.files[path]
        if not file.lfs:
            disposition = f'inline; filename="{quote(path.rsplit("/", 1)[-1])}";'
            headers.update(ETag=f'"{file.etag}"', **{"Content-Disposition": disposition})
            return self._counted(request, file.sha256, repo.read(file), headers)
        object_path = f"/objects/{repo.type}s/{repo.id}/{file.sha256}"
        headers.update(
            {
                "X-Linked-Size": str(file.size),
                "X-Linked-ETag": f'"{file.etag}"',
                "Location": self._context.sign(self._context.storage_url, object_path),
            }
        )
        return web.Response(status=302, headers=headers, text="Found. Redirecting.")

    async def download(self, request: web.Request) -> web.StreamResponse:
        self._context.check_signature(request)
        repo = self._context.store.get(repo_id(request), repo_type(request))
        sha256 = request.match_info["sha256"]
        if repo is None or not repo.has_blob(sha256):
            raise HubError(404, "NoSuchKey", "The specified key does not exist.")
        content = repo.blob_path(sha256).read_bytes()
        headers = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}
        return self._counted(request, sha256, content, headers)

    def _counted(
        self, request: web.Request, sha256: str, content: bytes, headers: dict[str, str]
    ) -> web.Response:
        answer = _content(request, content, headers)
        if request.method == "GET" and answer.status in (200, 206):
            assert isinstance(answer.body, bytes)
            self._context.traffic.downloaded[sha256] += len(answer.body)
        return answer

    # -- listings ----------------------------------------------------------------------------

    async def tree(self, request: web.Request) -> web.Response:
        repo = self._access.read(request, repo_id(request), repo_type(request))
        commit = repo.resolve(request.match_info["revision"])
        root = request.match_info.get("path", "").strip("/")
        prefix = f"{root}/" if root else ""
        below = {path: file for path, file in commit.files.items() if path.startswith(prefix)}
        if root and not below:
            raise entry_not_found(root)
        paths = sorted(
            {*below, *(folder for folder in folders(below) if folder.startswith(prefix))}
        )
        if not flag(request.query.get("recursive")):
            paths = [path for path in paths if "/" not in path[len(prefix) :]]
        page, headers = paged(request, paths, self._context.tree_page_size)
        expand = flag(request.query.get("expand"))
        return web.json_response(
            [_entry(repo, commit, path, expand) for path in page], headers=headers
        )

    async def paths_info(self, request: web.Request) -> web.Response:
        repo = self._access.read(request, repo_id(request), repo_type(request))
        commit = repo.resolve(request.match_info["revision"])
        if request.content_type == "application/json":
            body = await request.json()
            asked, expand = list(body["paths"]), flag(body.get("expand"))
        else:
            form = await request.post()
            asked, expand = (
                [str(path) for path in form.getall("paths", [])],
                flag(form.get("expand")),
            )
        known = {*commit.files, *folders(commit.files)}
        paths = [path.strip("/") for path in asked]
        return web.json_response(
            [_entry(repo, commit, path, expand) for path in paths if path in known]
        )


def _entry(repo: Repo, commit: Commit, path: str, expand: bool) -> dict[str, Any]:
    file = commit.files.get(path)
    entry = _folder_entry(commit, path) if file is None else _file_entry(path, file)
    if expand:
        last = repo.last_change(commit.id, path)
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return entry


def _file_entry(path: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry


def _folder_entry(commit: Commit, path: str) -> dict[str, Any]:
    # Not git's tree id, but as good for telling two states of a folder apart.
    content = [f"{p} {f.oid}" for p, f in commit.files.items() if p.startswith(path + "/")]
    tree_id = hashlib.sha1("\n".join(content).encode()).hexdigest()
    return {"type": "directory", "oid": tree_id, "size": 0, "path": path}


def _content(request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
    """The content, or the one range of it that was asked for."""
    asked = request.headers.get("Range")
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked) if asked else None
    headers = {"Content-Type": "application/octet-stream", **headers}
    if match is None or match.groups() == ("", ""):
        return web.Response(body=content, headers=headers)
    first, last = match.groups()
    start = int(first) if first else max(len(content) - int(last), 0)
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= stop:
        unsatisfied = {"Content-Range": f"bytes */{len(content)}"}
        return web.Response(status=416, headers=unsatisfied, text="Range Not Satisfiable")
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return web.Response(status=206, body=content[start:stop], headers=headers)
