"""Accounts and repositories: who am I, create, delete, settings, info, refs, history."""

from __future__ import annotations

from typing import Any

import yaml
from aiohttp import web

from tests.hub.access import TOKEN_NAME, WRITE_DISCUSSION
from tests.hub.addresses import REPO, repo_id, repo_type, web_path
from tests.hub.card import metadata_of
from tests.hub.context import Context, flag, paged
from tests.hub.errors import bad_request, conflict, revision_not_found
from tests.hub.storage import MAIN, REPO_TYPES, Commit, Repo


class RepoRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._access = context.access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/whoami-v2", self.whoami),
            web.post("/api/validate-yaml", self.validate_yaml),
            web.post("/api/repos/create", self.create),
            web.delete("/api/repos/delete", self.delete),
            web.put(REPO + "/settings", self.settings),
            web.get(REPO + "/auth-check", self.auth_check),
            web.get(REPO + "/auth-check/write", self.auth_check_write),
            web.get(REPO, self.info),
            web.get(REPO + "/revision/{revision}", self.info),
            web.get(REPO + "/refs", self.refs),
            web.get(REPO + "/commits/{revision}", self.commits),
            web.post(REPO + "/branch/{branch}", self.create_branch),
            web.delete(REPO + "/branch/{branch}", self.delete_branch),
            web.post(REPO + "/tag/{revision}", self.create_tag),
            web.delete(REPO + "/tag/{tag}", self.delete_tag),
        ]

    def _read(self, request: web.Request) -> Repo:
        return self._access.read(request, repo_id(request), repo_type(request))

    def _write(self, request: web.Request) -> Repo:
        return self._access.write(request, repo_id(request), repo_type(request))[1]

    async def whoami(self, request: web.Request) -> web.Response:
        user = self._access.require_user(request)
        token: dict[str, Any] = {
            "displayName": TOKEN_NAME,
            "role": user.role,
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        if user.role == "fineGrained":
            own = {"_id": user.name, "type": "user", "name": user.name}
            token["fineGrained"] = {
                "canReadGatedRepos": False,
                "global": [item for item in user.permissions if item == WRITE_DISCUSSION],
                "scoped": [{"entity": own, "permissions": list(user.permissions)}],
            }
        return web.json_response(
            {
                "type": "user",
                "id": user.name,
                "name": user.name,
                "fullname": user.name,
                "email": f"{user.name}@example.com",
                "orgs": [
                    {"type": "org", "id": org, "name": org, "roleInOrg": "admin"}
                    for org in user.orgs
                ],
                "auth": {"type": "access_token", "accessToken": token},
            }
        )

    async def validate_yaml(self, request: web.Request) -> web.Response:
        content: str = (await request.json())["content"]
        warnings = []
        try:
            if not metadata_of(content):
                warnings = [{"message": "empty or missing yaml metadata in repo card"}]
        except (yaml.YAMLError, ValueError) as error:
            errors = [{"message": f"YAML metadata: {error}"}]
            return web.json_response({"errors": errors, "warnings": []}, status=400)
        return web.json_response({"errors": [], "warnings": warnings})

    # -- repositories ------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        kind = body.get("type", "model")
        user, namespace = self._access.write_namespace(request, body.get("organization"), kind)
        if kind not in REPO_TYPES:
            raise bad_request(f"type={kind!r}: expected one of {', '.join(REPO_TYPES)}")
        name = f"{namespace}/{body['name']}"
        answer = {"url": self._context.url + web_path(kind, name), "id": name, "name": name}
        try:
            repo = self._context.store.create(
                name, kind, private=_is_private(body), author=user.name
            )
        except FileExistsError:
            message = f"You already created this {kind} repo"
            return web.json_response(
                {**answer, "error": message}, status=409, headers={"X-Error-Message": message}
            )
        except ValueError as error:
            raise bad_request(str(error)) from error
        return web.json_response({**answer, "private": repo.private})

    async def delete(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = self._access.require_user(request)
        name = f"{body.get('organization') or user.name}/{body['name']}"
        _, repo = self._access.write(request, name, body.get("type", "model"))
        self._context.store.delete(repo)
        return web.Response(text="OK")

    async def settings(self, request: web.Request) -> web.Response:
        repo = self._write(request)
        body = await request.json()
        if "gated" in body:
            repo.gated = body["gated"]
        if "private" in body or "visibility" in body:
            repo.private = _is_private(body)
        repo.save_settings()
        return web.json_response({"private": repo.private, "gated": repo.gated})

    async def auth_check(self, request: web.Request) -> web.Response:
        self._access.read_files(request, repo_id(request), repo_type(request))
        return web.json_response({})

    async def auth_check_write(self, request: web.Request) -> web.Response:
        self._write(request)
        return web.json_response({})

    async def info(self, request: web.Request) -> web.Response:
        repo = self._read(request)
        revision = request.match_info.get("revision", "main")
        info = _info(repo, repo.resolve(revision), blobs=flag(request.query.get("blobs")))
        expand = request.query.getall("expand", [])
        if expand:
            info = {key: info.get(key) for key in ("_id", "id", *expand)}
        return web.json_response(info)

    # -- refs and history --------------------------------------------------------------------

    async def refs(self, request: web.Request) -> web.Response:
        def listed(prefix: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit}
                for ref, commit in refs.items()
                if ref.startswith(prefix)
            ]

        refs = self._read(request).refs()
        answer = {
            "branches": listed("refs/heads/"),
            "tags": listed("refs/tags/"),
            "converts": listed("refs/convert/"),
        }
        if flag(request.query.get("include_prs")):
            answer["pullRequests"] = listed("refs/pr/")
        return web.json_response(answer)

    async def commits(self, request: web.Request) -> web.Response:
        repo = self._read(request)
        history = list(repo.history(request.match_info["revision"]))
        page, headers = paged(request, history, self._context.commits_page_size)
        answer = [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.description,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in page
        ]
        return web.json_response(answer, headers={"X-Total-Count": str(len(history)), **headers})

    async def create_branch(self, request: web.Request) -> web.Response:
        repo = self._write(request)
        body = await request.json() if request.can_read_body else {}
        return self._create_ref(
            repo, f"refs/heads/{request.match_info['branch']}", body.get("startingPoint")
        )

    async def create_tag(self, request: web.Request) -> web.Response:
        repo = self._write(request)
        tag = (await request.json())["tag"]
        return self._create_ref(repo, f"refs/tags/{tag}", request.match_info["revision"])

    def _create_ref(self, repo: Repo, ref: str, start: str | None) -> web.Response:
        with repo.lock:
            if ref in repo.refs():
                raise conflict(f"Reference already exists: {ref}")
            repo.set_ref(ref, repo.resolve(start or "main").id)
        return web.json_response({})

    async def delete_branch(self, request: web.Request) -> web.Response:
        return self._delete_ref(self._write(request), f"refs/heads/{request.match_info['branch']}")

    async def delete_tag(self, request: web.Request) -> web.Response:
        return self._delete_ref(self._write(request), f"refs/tags/{request.match_info['tag']}")

    def _delete_ref(self, repo: Repo, ref: str) -> web.Response:
        if ref == MAIN:
            raise bad_request("The branch main can't be deleted")
        with repo.lock:
            if ref not in repo.refs():
                raise revision_not_found(ref)
            repo.set_ref(ref, None)
        return web.json_response({})


def _is_private(body: dict[str, Any]) -> bool:
    if "visibility" in body:
        return bool(body["visibility"] != "public")
    return bool(body.get("private", False))


def _info(repo: Repo, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for path, file in commit.files.items():
        sibling: dict[str, Any] = {"rfilename": path}
        if blobs:
            sibling.update(size=file.size, blobId=file.oid)
            if file.lfs:
                sibling["lfs"] = {
                    "sha256": file.sha256,
                    "size": file.size,
                    "pointerSize": file.pointer_size,
                }
        siblings.append(sibling)
    readme = commit.files.get("README.md")
    card = {}
    if readme is not None:
        try:
            card = metadata_of(repo.read(readme).decode())
        except (yaml.YAMLError, ValueError):
            card = {}  # the Hub serves a repository whose card it can't read, without card data
    return {
        "_id": commit.id[:24],
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.id,
        "createdAt": repo.created,
        "lastModified": commit.date,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": list(card.get("tags") or []),
        "cardData": card,
        "siblings": siblings,
    }
