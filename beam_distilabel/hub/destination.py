"""A repository on the Hub as it was at launch: checked, there, and pinned."""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub.retrying import describe, retrying, status_of
from beam_distilabel.hub.script import read_script
from beam_distilabel.hub.target import HubTarget, find_token

_LOGIN = "Log in with `hf auth login`, set HF_TOKEN, or pass a `token`"

_COMMIT = re.compile(r"[0-9a-f]{7,40}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """Where one launch publishes; small, pickled to the workers.

    Attributes:
        target: what the user asked for.
        endpoint: URL of the Hub.
        token: what opens the repository; a worker in another process reads it again.
        base: the head of the branch at launch: the history since then is searched for commits that
            this launch has made already.
        base_pull_requests: with `create_pr`, the pull requests that there were at launch.
        run: an id of this launch.
        script: name to text of the script to publish, if that was asked for.
    """

    target: HubTarget
    endpoint: str
    token: SecretStr = field(repr=False)
    base: str
    base_pull_requests: frozenset[str] = frozenset()
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    script: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def repo_id(self) -> str:
        return self.target.repo_id

    @property
    def revision(self) -> str:
        """The branch that is committed to, or that the pull request is made for."""
        return self.target.revision or "main"

    @property
    def secret(self) -> str:
        """The token, for the client alone."""
        return self.token.get_secret_value().strip()

    def api(self) -> Any:
        """A client of the Hub with this token."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.secret)

    def again(self) -> Destination:
        """This destination for another launch, of the same pipeline."""
        return replace(self, run=uuid.uuid4().hex)

    def since(self, base: str, pull_requests: frozenset[str]) -> Destination:
        """This destination as it was at an earlier launch, which this one repeats."""
        return replace(self, base=base, base_pull_requests=pull_requests)


def open_destination(target: HubTarget, who: str = "push_to_hub") -> Destination:
    """Make sure that `target` can be published to, before anything runs.

    A repository or branch that doesn't exist is created.

    Args:
        target: where to.
        who: who publishes, for messages.

    Raises:
        DistilabelUserError: there is no token or it has expired, it can't write there, the
            repository can't be made, or the script to include holds a secret; with the remedy.
    """
    from huggingface_hub import HfApi, constants

    found = find_token(target.token)
    token = found.get_secret_value() if found else None
    endpoint = str(constants.ENDPOINT)
    where = f"{who}: the dataset {target.repo_id!r} on {endpoint}"
    if found is None or not token:
        raise DistilabelUserError(f"{where} needs a token to be written to. {_LOGIN}.")
    script = read_script([token]) if target.include_script else {}
    api = HfApi(endpoint=endpoint, token=token)
    try:
        _check_access(api, target, where)
        base, pull_requests = _pin(api, target, where)
    except DistilabelUserError:
        raise
    except Exception as error:
        if status_of(error) == 401:
            raise DistilabelUserError(
                f"{where}: the token is invalid or has expired. {_LOGIN} that is valid."
            ) from error
        raise DistilabelUserError(f"{where} can't be published to: {describe(error)}") from error
    return Destination(target, endpoint, found, base, pull_requests, script=script)


def _check_access(api: Any, target: HubTarget, where: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        info = retrying(
            "looking up the repository",
            lambda: api.repo_info(target.repo_id, repo_type="dataset"),
        )
    except RepositoryNotFoundError as error:
        if status_of(error) == 401:
            # The Hub says so of unknown repositories too, where the token opens nothing.
            retrying("checking the token", api.whoami)
        _create(api, target, where)
        return
    if target.private and info.private is False:
        logger.warning(
            "%s is public and stays so: private=True holds for new repositories only", where
        )
    if target.create_pr or (target.revision or "").startswith("refs/pr/"):
        return  # a pull request of one's own needs no right to write
    try:
        retrying(
            "checking the token's rights",
            lambda: api.auth_check(target.repo_id, repo_type="dataset", write=True),
        )
    except HfHubHTTPError as error:
        if status_of(error) not in (401, 403, 404):
            raise
        if status_of(error) == 401:
            retrying("checking the token", api.whoami)
        raise DistilabelUserError(
            f"{where} can't be written to with this token. Use a token with the right to write "
            "there, or pass create_pr=True to open a pull request."
        ) from error


def _create(api: Any, target: HubTarget, where: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        retrying(
            "creating the repository",
            lambda: api.create_repo(
                target.repo_id, repo_type="dataset", private=target.private, exist_ok=True
            ),
        )
    except HfHubHTTPError as error:
        if status_of(error) != 403:
            raise
        raise DistilabelUserError(
            f"{where} doesn't exist, and this token has no right to create it. Use a token with "
            "the right to write there, or create the repository first."
        ) from error


def _pin(api: Any, target: HubTarget, where: str) -> tuple[str, frozenset[str]]:
    """The head of the branch, made if need be, and with `create_pr` the pull requests."""

    def refs() -> Any:
        return api.list_repo_refs(
            target.repo_id, repo_type="dataset", include_pull_requests=target.create_pr
        )

    listed = retrying("listing the branches", refs)
    revision = target.revision or "main"
    if _COMMIT.fullmatch(revision) or revision in {ref.name for ref in listed.tags}:
        raise DistilabelUserError(
            f"{where} can't be published to at revision={revision!r}, which is a tag or a commit; "
            "name a branch."
        )
    heads = {
        ref.name if ref in listed.branches else ref.ref: ref.target_commit
        for ref in (*listed.branches, *(listed.pull_requests or ()))
    }
    if revision not in heads and not target.create_pr and not revision.startswith("refs/"):
        retrying(
            "creating the branch",
            lambda: api.create_branch(
                target.repo_id, branch=revision, repo_type="dataset", exist_ok=True
            ),
        )
    base = retrying(
        "looking up the branch",
        lambda: api.repo_info(target.repo_id, repo_type="dataset", revision=revision).sha,
    )
    return str(base), frozenset(ref.ref for ref in listed.pull_requests or ())
