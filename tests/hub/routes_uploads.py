"""Writing: preupload, LFS batch and the object store's uploads, commit."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.hub.addresses import REPO, repo_id, repo_type, web_path
from tests.hub.context import Context, flag
from tests.hub.discussions import Discussion, pull_ref
from tests.hub.errors import (
    HEAD_MOVED,
    HubError,
    bad_request,
    entry_not_found,
    precondition_failed,
    revision_not_found,
)
from tests.hub.storage import Commit, File, Repo

_LFS = "/{namespace}/{name}.git/info/lfs/objects/"
_REGULAR_LIMIT = 10 * 1024 * 1024


class UploadRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._access = context.access

    def routes(self) -> list[web.RouteDef]:
        lfs = [
            route
            for prefix in ("", "/{type:datasets|spaces}")
            for route in (
                web.post(prefix + _LFS + "batch", self.lfs_batch),
                web.post(prefix + _LFS + "verify", self.lfs_verify),
            )
        ]
        return [
            web.post(REPO + "/preupload/{revision}", self.preupload),
            web.post(REPO + "/commit/{revision}", self.commit),
            web.post(
                "/api/complete_multipart/{type}/{namespace}/{name}/{sha256}/{upload}", self.complete
            ),
            *lfs,
        ]

    def storage_routes(self) -> list[web.RouteDef]:
        target = "/{type}/{namespace}/{name}/{sha256}"
        return [
            web.put("/objects" + target, self.put_object),
            web.put("/parts" + target + "/{upload}/{part}", self.put_part),
        ]

    # -- how to upload -----------------------------------------------------------------------

    async def preupload(self, request: web.Request) -> web.Response:
        revision = request.match_info["revision"]
        _, repo = self._access.push(
            request, None if flag(request.query.get("create_pr")) else revision
        )
        head = repo.resolve(revision)
        files = (await request.json())["files"]
        return web.json_response({"files": [_upload_mode(repo, head, file) for file in files]})

    async def lfs_batch(self, request: web.Request) -> web.Response:
        body = await request.json()
        # A new pull request's upload names no ref; it needs no right to write to the repository.
        _, repo = self._access.push(request, body["ref"]["name"] if "ref" in body else None)
        multipart = "multipart" in body.get("transfers", [])
        objects = [self._lfs_action(repo, entry, multipart) for entry in body["objects"]]
        return web.json_response(
            {"transfer": "multipart" if multipart else "basic", "objects": objects},
            content_type="application/vnd.git-lfs+json",
        )

    def _lfs_action(self, repo: Repo, entry: dict[str, Any], multipart: bool) -> dict[str, Any]:
        oid, size = entry["oid"], entry["size"]
        if repo.has_blob(oid):
            return {"oid": oid, "size": size}  # no actions: nothing to upload
        context, target = self._context, f"{repo.type}s/{repo.id}/{oid}"
        verify = f"{context.url}{web_path(repo.type, repo.id)}.git/info/lfs/objects/verify"
        upload: dict[str, Any] = {"href": context.sign(context.storage_url, f"/objects/{target}")}
        if multipart and size > context.lfs_part_size:
            upload_id = secrets.token_hex(8)
            (context.uploads / upload_id).mkdir(parents=True)
            parts = {
                str(part): context.sign(context.storage_url, f"/parts/{target}/{upload_id}/{part}")
                for part in range(1, math.ceil(size / context.lfs_part_size) + 1)
            }
            upload = {
                "href": context.sign(context.url, f"/api/complete_multipart/{target}/{upload_id}"),
                "header": {"chunk_size": str(context.lfs_part_size), **parts},
            }
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": {"href": verify}}}

    async def lfs_verify(self, request: web.Request) -> web.Response:
        # The client leaves the ref out here, so that a pull request's author must be let in too.
        _, repo = self._access.push(request, None)
        body = await request.json()
        if not repo.has_blob(body["oid"]) or repo.lfs_file(body["oid"]).size != body["size"]:
            raise HubError(404, "EntryNotFound", f"LFS object {body['oid']} was not uploaded")
        return web.json_response({})

    # -- object store ------------------------------------------------------------------------

    async def put_object(self, request: web.Request) -> web.Response:
        repo, sha256 = self._target(request)
        temporary = self._context.uploads / secrets.token_hex(8)
        etag = await self._receive(request, sha256, temporary)
        _keep(repo, sha256, temporary)
        return web.Response(headers={"ETag": f'"{etag}"'})

    async def put_part(self, request: web.Request) -> web.Response:
        _, sha256 = self._target(request)
        folder = self._upload_folder(request)
        part = int(request.match_info["part"])
        etag = await self._receive(request, sha256, folder / str(part))
        return web.Response(headers={"ETag": f'"{etag}"'})

    async def complete(self, request: web.Request) -> web.Response:
        repo, sha256 = self._target(request)
        folder = self._upload_folder(request)
        parts = (await request.json())["parts"]
        temporary = self._context.uploads / secrets.token_hex(8)
        with temporary.open("wb") as whole:
            for part in sorted(parts, key=lambda part: int(part["partNumber"])):
                content = (folder / str(int(part["partNumber"]))).read_bytes()
                if part["etag"].strip('"') != hashlib.md5(content).hexdigest():
                    raise bad_request(
                        f"Part {part['partNumber']}: the ETag is not that of the upload"
                    )
                whole.write(content)
        _keep(repo, sha256, temporary)
        return web.json_response({})

    async def _receive(self, request: web.Request, sha256: str, target: Path) -> str:
        """Store the body; answer its MD5, which is the ETag that object stores give."""
        digest = hashlib.md5()
        with target.open("wb") as file:
            async for chunk in request.content.iter_chunked(1 << 20):
                self._context.traffic.uploaded[sha256] += len(chunk)
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def _target(self, request: web.Request) -> tuple[Repo, str]:
        self._context.check_signature(request)
        repo = self._context.store.get(repo_id(request), repo_type(request))
        if repo is None:
            raise HubError(404, "NoSuchBucket", "The repository is gone")
        return repo, request.match_info["sha256"]

    def _upload_folder(self, request: web.Request) -> Path:
        folder = self._context.uploads / request.match_info["upload"]
        if not folder.is_dir():
            raise HubError(404, "NoSuchUpload", "The upload does not exist")
        return folder

    # -- commit ------------------------------------------------------------------------------

    async def commit(self, request: web.Request) -> web.Response:
        create_pr = flag(request.query.get("create_pr"))
        revision = request.match_info["revision"]
        user, repo = self._access.push(request, None if create_pr else revision)
        header, operations = _parse(await request.read())
        with repo.lock:
            ref = repo.find_ref(revision)
            if ref is None:
                raise revision_not_found(revision)
            if ref.startswith("refs/tags/"):
                raise bad_request(f"Can't commit to the tag {revision}")
            head = repo.refs()[ref]
            expected = header.get("parentCommit")
            if expected is not None and expected != head:
                raise precondition_failed(HEAD_MOVED)
            if user.endless_412 and not create_pr and not self._access.owns_pull(user, repo, ref):
                raise precondition_failed(HEAD_MOVED)
            if create_pr:
                number = 1 + len(repo.discussions())
                ref = pull_ref(number)
            commit = repo.commit(
                ref,
                lambda files: self._apply(repo, files, operations),
                author=user.name,
                title=header["summary"],
                description=header.get("description", ""),
                base=head,
            )
            if create_pr:
                opened = Discussion(
                    number, header["summary"], user.name, commit.date, "open", base=head
                )
                if header.get("description"):
                    opened.add_comment(user.name, header["description"])
                repo.save_discussion(opened)
        page = self._context.url + web_path(repo.type, repo.id)
        answer = {
            "success": True,
            "commitOid": commit.id,
            "commitUrl": f"{page}/commit/{commit.id}",
        }
        if create_pr:
            answer["pullRequestUrl"] = f"{page}/discussions/{number}"
        return web.json_response({**answer, "hookOutput": ""})

    def _apply(
        self, repo: Repo, files: dict[str, File], operations: Iterable[tuple[str, dict[str, Any]]]
    ) -> dict[str, File]:
        files = dict(files)
        for key, value in operations:
            path: str = value["path"].strip("/")
            if not path or any(part in ("", ".", "..", ".git") for part in path.split("/")):
                raise bad_request(f"Invalid path: {value['path']!r}")
            if key == "file":
                try:
                    content = base64.b64decode(value["content"], validate=True)
                except binascii.Error as error:
                    raise bad_request(f"{path}: the content is not base64: {error}") from error
                files[path] = repo.add_blob(content)
                self._context.traffic.uploaded[files[path].sha256] += len(content)
            elif key == "lfsFile":
                if not repo.has_blob(value["oid"]):
                    raise bad_request(f"{path}: the LFS object {value['oid']} was not uploaded")
                files[path] = repo.lfs_file(value["oid"])
            elif key == "copyFile":
                source = (
                    repo.resolve(value["srcRevision"]).files if value.get("srcRevision") else files
                )
                if value["srcPath"] not in source:
                    raise entry_not_found(value["srcPath"])
                files[path] = source[value["srcPath"]]
            elif key == "deletedFile":
                if path not in files:
                    raise entry_not_found(path)
                del files[path]
            elif key == "deletedFolder":
                gone = [name for name in files if name.startswith(path + "/")]
                if not gone:
                    raise entry_not_found(path)
                for name in gone:
                    del files[name]
            else:
                raise bad_request(f"Unknown operation: {key!r}")
        return files


def _upload_mode(repo: Repo, head: Commit, file: dict[str, Any]) -> dict[str, Any]:
    path, current = file["path"], head.files.get(file["path"])
    sample = base64.b64decode(file["sample"])
    lfs = file["size"] > _REGULAR_LIMIT or b"\0" in sample or _lfs_by_attributes(repo, head, path)
    mode = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
    if current is not None and current.lfs == lfs:
        mode["oid"] = current.etag  # the client drops what hasn't changed
    return mode


def _lfs_by_attributes(repo: Repo, head: Commit, path: str) -> bool:
    attributes = head.files.get(".gitattributes")
    if attributes is None:
        return False
    name = path.rsplit("/", 1)[-1]
    for line in repo.read(attributes).decode().splitlines():
        pattern, *values = line.split() or [""]
        if "filter=lfs" in values and fnmatch.fnmatchcase(
            path if "/" in pattern else name, pattern
        ):
            return True
    return False


def _keep(repo: Repo, sha256: str, temporary: Path) -> None:
    digest = hashlib.sha256()
    with temporary.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    actual = digest.hexdigest()
    if actual != sha256:
        temporary.unlink()
        raise bad_request(f"The content's SHA-256 is {actual}, not {sha256}")
    os.replace(temporary, repo.blob_path(sha256))


def _parse(body: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """The header and the operations of a commit's NDJSON."""
    try:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        entries = [(line["key"], line["value"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"The commit is not NDJSON of key and value: {error}") from error
    if not entries or entries[0][0] != "header" or not entries[0][1].get("summary"):
        raise bad_request("The commit's first line must be a header with a summary")
    return entries[0][1], entries[1:]
