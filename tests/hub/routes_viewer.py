"""The listing of a dataset's Parquet files by subset and split."""

from __future__ import annotations

import fnmatch
import re
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.hub.addresses import repo_id
from tests.hub.card import metadata_of
from tests.hub.context import Context
from tests.hub.errors import entry_not_found
from tests.hub.storage import CONVERSION, MAIN, Commit, Repo

_PARQUET = "/api/datasets/{namespace}/{name}/parquet"
# A split that was converted in part is listed under the name of its folder, `partial-<split>`.
CONVERTED_PATH = re.compile(r"(?P<config>[^/]+)/(?P<split>[^/]+)/\d{4}\.parquet")
_SHARD = re.compile(r"(?:.*/)?(?P<split>\w+?)(?:-\d+-of-\d+)?\.parquet")


class ViewerRoutes:
    """Lists the Parquet conversion if there is one, else the repository's own Parquet files."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PARQUET, self.listing),
            web.get(_PARQUET + "/{config}", self.listing),
            web.get(_PARQUET + "/{config}/{split}", self.listing),
            web.get(_PARQUET + "/{config}/{split}/{index:\\d+}.parquet", self.shard),
        ]

    def _subsets(self, request: web.Request) -> tuple[str, dict[str, dict[str, list[str]]]]:
        """The ref that has the files, and its files by subset and split."""
        repo = self._context.access.read_files(request, repo_id(request), "dataset")
        if CONVERSION in repo.refs():
            return CONVERSION, _converted(repo.resolve(CONVERSION))
        return MAIN, _subsets(repo, repo.resolve(MAIN))

    async def listing(self, request: web.Request) -> web.Response:
        base = f"{self._context.url}{_PARQUET.format(**request.match_info)}"
        answer: Any = {
            config: {
                split: [f"{base}/{config}/{split}/{index}.parquet" for index in range(len(paths))]
                for split, paths in splits.items()
            }
            for config, splits in self._subsets(request)[1].items()
        }
        for key in ("config", "split"):
            if key in request.match_info:
                if request.match_info[key] not in answer:
                    raise entry_not_found(request.match_info[key])
                answer = answer[request.match_info[key]]
        return web.json_response(answer)

    async def shard(self, request: web.Request) -> web.Response:
        config, split, index = (request.match_info[key] for key in ("config", "split", "index"))
        ref, subsets = self._subsets(request)
        paths = subsets.get(config, {}).get(split, [])
        if int(index) >= len(paths):
            raise entry_not_found(request.path)
        revision = quote("main" if ref == MAIN else ref, safe="")
        location = f"/datasets/{repo_id(request)}/resolve/{revision}/{quote(paths[int(index)])}"
        return web.Response(status=302, headers={"Location": location})


def _converted(commit: Commit) -> dict[str, dict[str, list[str]]]:
    subsets: dict[str, dict[str, list[str]]] = {}
    for path in commit.files:  # sorted, so the shards of a split are in order
        match = CONVERTED_PATH.fullmatch(path)
        assert match is not None  # `add_conversion` lets nothing else in
        subsets.setdefault(match["config"], {}).setdefault(match["split"], []).append(path)
    return subsets


def _subsets(repo: Repo, commit: Commit) -> dict[str, dict[str, list[str]]]:
    parquet = [path for path in commit.files if path.endswith(".parquet")]
    readme = commit.files.get("README.md")
    card = metadata_of(repo.read(readme).decode()) if readme else {}
    subsets: dict[str, dict[str, list[str]]] = {}
    for config in card.get("configs") or []:
        splits = subsets.setdefault(config["config_name"], {})
        for entry in config["data_files"]:
            patterns = [entry["path"]] if isinstance(entry["path"], str) else entry["path"]
            splits[entry["split"]] = [
                p for p in parquet if any(fnmatch.fnmatch(p, x) for x in patterns)
            ]
    if not subsets and parquet:
        for path in parquet:
            match = _SHARD.fullmatch(path)
            split = match["split"] if match else "train"
            subsets.setdefault("default", {}).setdefault(split, []).append(path)
    return subsets
