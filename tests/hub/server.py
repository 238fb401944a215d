"""The server: two sites (Hub and object store) in one thread, and what tests ask of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from aiohttp import web

from tests.hub.access import PR_ONLY, Access, User
from tests.hub.context import Context
from tests.hub.errors import HubError
from tests.hub.faults import Fault, apply_fault, hold, take_fault
from tests.hub.routes_discussions import DiscussionRoutes
from tests.hub.routes_files import FileRoutes
from tests.hub.routes_repos import RepoRoutes
from tests.hub.routes_uploads import UploadRoutes
from tests.hub.routes_viewer import CONVERTED_PATH, ViewerRoutes
from tests.hub.storage import CONVERSION, MAIN, Commit, File, Repo, Store

_log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_START_SECONDS = 30


class Request(NamedTuple):
    """One line of the log; `path` includes the query; `status` is 0 for a dropped connection."""

    method: str
    path: str
    status: int


class HubServer:
    """A Hub on a free local port, with its state below `root`.

    Attributes:
        url: What `HF_ENDPOINT` is set to.
        token: A write token of the user `namespace`.
        namespace: The user's name, and where its repositories are.
        faults: Rules that make requests fail; see `Fault`. Tests append, the server counts.
        requests: Every request in the order in which it was answered, both sites.
        context: Page sizes and the size from which LFS uploads have several parts.

    Example:
        >>> import tempfile
        >>> with HubServer(Path(tempfile.mkdtemp())) as hub:
        ...     _ = hub.add_dataset("tester/small", {"train.jsonl": b'{"a": 1}'})
        ...     sorted(hub.files("tester/small"))
        ['.gitattributes', 'train.jsonl']
    """

    def __init__(self, root: Path, namespace: str = "tester") -> None:
        self.store = Store(root / "repos")
        uploads = root / "uploads"
        uploads.mkdir(parents=True, exist_ok=True)
        self.access = Access(self.store)
        self.context = Context(store=self.store, access=self.access, uploads=uploads)
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.namespace = namespace
        self.token = self.add_user(namespace)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="hub-server", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None

    @property
    def url(self) -> str:
        return self.context.url

    # -- lifecycle ---------------------------------------------------------------------------

    def __enter__(self) -> HubServer:
        self._thread.start()
        if not self._started.wait(_START_SECONDS):
            raise RuntimeError(f"The Hub server did not start within {_START_SECONDS} s")
        if self._error is not None:
            raise RuntimeError("The Hub server did not start") from self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None and self._stop is not None
        self.clear_faults()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"The Hub server did not stop within {_START_SECONDS} s")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the thread that waits in __enter__
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        files, uploads = FileRoutes(self.context), UploadRoutes(self.context)
        repos, viewer = RepoRoutes(self.context), ViewerRoutes(self.context)
        hub = [*DiscussionRoutes(self.context).routes()]
        hub += [*repos.routes(), *viewer.routes(), *uploads.routes(), *files.routes()]
        storage = [*files.storage_routes(), *uploads.storage_routes()]
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # Two ports are two origins: as with the real Hub and its object store, a client must not
        # carry its token from one to the other.
        runners = [await self._start(routes) for routes in (hub, storage)]
        try:
            self.context.url, self.context.storage_url = (url for _, url in runners)
            self._started.set()
            await self._stop.wait()
        finally:
            for runner, _ in runners:
                await runner.cleanup()

    async def _start(self, routes: Iterable[web.RouteDef]) -> tuple[web.AppRunner, str]:
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 30)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return runner, f"http://{host}:{port}"

    @web.middleware
    async def _middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        path = request.path + (f"?{request.query_string}" if request.query_string else "")
        fault = take_fault(self.faults, request.method, path)
        if fault is None or not fault.answers:
            if fault is not None and fault.when == "before":
                if request.method == "POST":
                    await request.read()  # whole before the client can be gone
                await hold(fault)
            answer = await _answer(request, handler)
            self.requests.append(Request(request.method, path, answer.status))
            if fault is not None:
                fault.worked.set()
                if fault.when == "after":
                    await hold(fault)
            return answer
        done = await _answer(request, handler) if fault.when == "after" else None
        return await self._fail(fault, request, path, done)

    async def _fail(
        self, fault: Fault, request: web.Request, path: str, answer: web.StreamResponse | None
    ) -> web.StreamResponse:
        # Logged first: a client whose connection drops may look before this coroutine goes on.
        lost = fault.status is None
        self.requests.append(Request(request.method, path, 0 if lost else fault.status or 0))
        return await apply_fault(fault, request, answer)

    # -- for tests ---------------------------------------------------------------------------

    def reset(self, namespace: str) -> None:
        """Begin a new test: a new user with its own namespace, no faults, an empty log."""
        self.clear_faults()
        self.requests.clear()
        self.context.traffic.clear()
        self.namespace = namespace
        self.token = self.add_user(namespace)

    def clear_faults(self) -> None:
        """Take all faults back; requests that one of them holds go on."""
        for fault in self.faults:
            fault.release()
        self.faults.clear()

    @property
    def uploaded(self) -> Counter[str]:
        """Bytes of file contents that clients sent, by the SHA-256 that they said it has.

        Each time counts, also one that broke off; samples for `preupload` don't.
        """
        return self.context.traffic.uploaded

    @property
    def downloaded(self) -> Counter[str]:
        """Bytes of file contents in answers to `GET`, by the whole file's SHA-256."""
        return self.context.traffic.downloaded

    def add_user(
        self,
        name: str,
        *,
        orgs: Iterable[str] = (),
        role: str = "write",
        permissions: Iterable[str] = (),
    ) -> str:
        """A token of a user; see `User` for what it may do."""
        return self.access.add_user(User(name, tuple(orgs), role, tuple(permissions)))

    def add_pr_only_token(self, *, endless_412: bool = False) -> str:
        """A fine-grained token of `namespace` that may read, and open pull requests, only.

        Args:
            endless_412: Direct commits are answered 412 for ever in place of 403, as users met it
                (https://github.com/huggingface/datasets/issues/7777); what comes before works.
        """
        user = User(
            self.namespace, role="fineGrained", permissions=PR_ONLY, endless_412=endless_412
        )
        return self.access.add_user(user)

    def expire(self, token: str) -> None:
        """From now on 401 to every request with this token; addresses signed before stay good."""
        self.access.expire(token)

    def add_dataset(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        private: bool = False,
        gated: bool = False,
    ) -> Commit:
        """Make a dataset repository with these files, without HTTP; its head commit."""
        author = repo_id.split("/")[0]
        repo = self.store.create(repo_id, "dataset", private=private, author=author)
        if gated:
            repo.gated = "manual"
            repo.save_settings()
        return self.add_files(repo_id, files, title="add files")

    def add_files(
        self, repo_id: str, files: Mapping[str, bytes], *, title: str, branch: str = "main"
    ) -> Commit:
        """Commit files to a dataset without HTTP, as someone else would while a test runs."""
        repo = self.repo(repo_id)
        added = {
            path: repo.add_blob(content, lfs=path.endswith(".parquet"))
            for path, content in files.items()
        }
        ref = MAIN if branch == "main" else f"refs/heads/{branch}"

        def change(current: dict[str, File]) -> dict[str, File]:
            return {**current, **added}

        return repo.commit(ref, change, author=repo_id.split("/")[0], title=title)

    def add_conversion(self, repo_id: str, files: Mapping[str, bytes]) -> Commit:
        """The Hub's own Parquet conversion of a dataset: a commit to `refs/convert/parquet`.

        Args:
            repo_id: A dataset that exists.
            files: Path to content, `<config>/<split>/0000.parquet`; of a split that was converted
                in part, `<config>/partial-<split>/0000.parquet`. An earlier conversion is replaced.
        """
        for path in files:
            if not CONVERTED_PATH.fullmatch(path):
                raise ValueError(f"{path!r}: expected '<config>/<split>/0000.parquet'")
        repo = self.repo(repo_id)
        converted = {path: repo.add_blob(content, lfs=True) for path, content in files.items()}
        return repo.commit(
            CONVERSION,
            lambda _: converted,
            author="parquet-converter",
            title="Update parquet files",
        )

    def repo(self, repo_id: str, repo_type: str = "dataset") -> Repo:
        """The repository on disk; `KeyError` if there is none."""
        repo = self.store.get(repo_id, repo_type)
        if repo is None:
            raise KeyError(f"no {repo_type} {repo_id!r} on this server")
        return repo

    def commits(
        self, repo_id: str, revision: str = "main", repo_type: str = "dataset"
    ) -> list[Commit]:
        """The history, newest first, down to the "initial commit" that every repository has."""
        return list(self.repo(repo_id, repo_type).history(revision))

    def files(
        self, repo_id: str, revision: str = "main", repo_type: str = "dataset"
    ) -> dict[str, bytes]:
        """Path to content at a revision, LFS files included."""
        repo = self.repo(repo_id, repo_type)
        return {path: repo.read(file) for path, file in repo.resolve(revision).files.items()}

    def refs(self, repo_id: str, repo_type: str = "dataset") -> dict[str, str]:
        """Full ref name (`refs/heads/main`, `refs/pr/1`) to commit id."""
        return self.repo(repo_id, repo_type).refs()


async def _answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HubError as error:
        return error.response()
    except web.HTTPException as error:  # no such route, body too large
        return web.json_response({"error": error.reason}, status=error.status)
    except ConnectionError:  # the client is gone in the middle of its request: nobody reads this
        return web.Response(status=400, reason="The request broke off")
    except Exception:
        # A defect of this server: seen in the test's log, and as an error by the client.
        _log.exception("%s %s failed", request.method, request.path_qs)
        return web.json_response({"error": "defect in the test Hub"}, status=500)
