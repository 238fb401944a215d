"""The listing of a dataset's Parquet files by subset and split."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from aiohttp import web

from tests.hub.card import metadata_of
from tests.hub.context import Context, repo_id
from tests.hub.errors import entry_not_found
from tests.hub.storage import Commit, Repo

_PARQUET = "/api/datasets/{namespace}/{name}/parquet"
_SHARD = re.compile(r"(?:.*/)?(?P<split>\w+?)(?:-\d+-of-\d+)?\.parquet")


class ViewerRoutes:
    """Lists Parquet files that are in the repository; the real Hub also converts other formats."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PARQUET, self.listing),
            web.get(_PARQUET + "/{config}", self.listing),
            web.get(_PARQUET + "/{config}/{split}", self.listing),
            web.get(_PARQUET + "/{config}/{split}/{index:\\d+}.parquet", self.shard),
        ]

    def _subsets(self, request: web.Request) -> dict[str, dict[str, list[str]]]:
        repo = self._context.access.read_files(request, repo_id(request), "dataset")
        return _subsets(repo, repo.resolve("main"))

    async def listing(self, request: web.Request) -> web.Response:
        base = f"{self._context.url}{_PARQUET.format(**request.match_info)}"
        answer: Any = {
            config: {
                split: [f"{base}/{config}/{split}/{index}.parquet" for index in range(len(paths))]
                for split, paths in splits.items()
            }
            for config, splits in self._subsets(request).items()
        }
        for key in ("config", "split"):
            if key in request.match_info:
                if request.match_info[key] not in answer:
                    raise entry_not_found(request.match_info[key])
                answer = answer[request.match_info[key]]
        return web.json_response(answer)

    async def shard(self, request: web.Request) -> web.Response:
        config, split, index = (request.match_info[key] for key in ("config", "split", "index"))
        paths = self._subsets(request).get(config, {}).get(split, [])
        if int(index) >= len(paths):
            raise entry_not_found(request.path)
        location = f"/datasets/{repo_id(request)}/resolve/main/{paths[int(index)]}"
        return web.Response(status=302, headers={"Location": location})


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
