"""One commit, however often it is tried and whoever else commits."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from beam_distilabel.errors import DistilabelError
from beam_distilabel.hub import retrying as attempts
from beam_distilabel.hub.destination import Destination
from beam_distilabel.hub.history import commits
from beam_distilabel.hub.publication import Publication
from beam_distilabel.hub.retrying import (
    OutOfAttempts,
    describe,
    explaining_refusal,
    retrying,
    status_of,
    within,
)

_RUN = "beam-distilabel-run"
_CONTENT = "beam-distilabel-content"
_WINDOW = "beam-distilabel-window"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommitRecord:
    """What was published.

    Attributes:
        repo_id: the repository.
        commit: the commit's id.
        url: where to look at it.
        pull_request: the ref of the pull request that it opened, or None.
    """

    repo_id: str
    commit: str
    url: str
    pull_request: str | None = None


def commit_once(destination: Destination, publication: Publication) -> CommitRecord:
    """Commit `publication`, unless this launch, or an equal one since, has done so already.

    Every attempt first looks for the ids of launch and content in the history since launch, and
    then commits onto the head that it saw: the Hub refuses where another commit came between (412)
    or is under way (409), and the next attempt looks again. So a worker that died before it
    learned of its commit, and twins that run at once, make one commit together.

    With `create_pr` there is no parent to commit onto: twins may open two pull requests; then all
    but the first are closed.

    Raises:
        DistilabelUserError: the token may not write.
        DistilabelError: no attempt of `retrying.ATTEMPTS` was let through.
    """
    attempt = partial(_attempt, destination, publication)
    what = f"the commit to {destination.repo_id!r}"
    try:
        with explaining_refusal(what):
            return retrying(what, lambda: within(attempts.DEADLINE, "commit", attempt))
    except OutOfAttempts as error:
        failure = error.__cause__
        assert failure is not None
        hint = ""
        if status_of(failure) == 412:
            hint = (
                " Either others commit all the time, or the token may open pull requests only; "
                "then pass create_pr=True."
            )
        raise DistilabelError(
            f"{what} was tried {attempts.ATTEMPTS} times in vain: {describe(failure)}.{hint} "
            "Nothing was published; the files are still in the run directory and can be pushed "
            "again."
        ) from failure


def _attempt(destination: Destination, publication: Publication) -> CommitRecord:
    api = destination.api()
    target = destination.target
    if target.create_pr:
        found = _find_pull_request(api, destination, publication)
        if found is not None:
            return found
        head = api.repo_info(target.repo_id, repo_type="dataset", revision=destination.revision).sha
    else:
        head, mine = _look(destination, publication, destination.revision)
        if mine is not None:
            logger.info("%s has the commit %s of this run already", target.repo_id, mine)
            return _record(destination, mine)
    with tempfile.TemporaryDirectory() as folder:
        info = api.create_commit(
            target.repo_id,
            publication.operations(destination, head, Path(folder)),
            commit_message=target.commit_message,
            commit_description=_trailer(destination, publication),
            repo_type="dataset",
            revision=target.revision,
            parent_commit=None if target.create_pr else head,
            create_pr=target.create_pr,
        )
    if not target.create_pr:
        return _record(destination, info.oid)
    settled = _find_pull_request(api, destination, publication)
    return settled or CommitRecord(target.repo_id, info.oid, info.pr_url, info.pr_revision)


def _record(destination: Destination, commit: str) -> CommitRecord:
    url = f"{destination.endpoint}/datasets/{destination.repo_id}/commit/{commit}"
    return CommitRecord(destination.repo_id, commit, url)


def _trailer(destination: Destination, publication: Publication) -> str:
    lines = [f"{_RUN}: {destination.run}", f"{_CONTENT}: {publication.content}"]
    if publication.window:
        lines.append(f"{_WINDOW}: {publication.window}")
    return "\n".join(lines)


def _whose(description: str, destination: Destination, publication: Publication) -> str | None:
    """Whether a commit is this launch's, or has the same content, by its description."""
    trailer = dict(line.split(": ", 1) for line in (description or "").splitlines() if ": " in line)
    if _RUN not in trailer or trailer.get(_WINDOW, "") != publication.window:
        return None
    # A job that starts again may cut the same rows into other files: its launch is the same.
    if trailer[_RUN] == destination.run:
        return "launch"
    return "content" if trailer.get(_CONTENT) == publication.content else None


def _look(
    destination: Destination, publication: Publication, revision: str
) -> tuple[str, str | None]:
    """The head of a branch or pull request, and the commit of this publication since launch."""
    head = ""
    for commit in commits(destination.endpoint, destination.repo_id, revision, destination.secret):
        head = head or commit["id"]
        if commit["id"] == destination.base:
            break
        whose = _whose(commit["message"], destination, publication)
        # Another launch's commit counts while what it committed is still there.
        if whose == "launch" or (whose == "content" and publication.is_at(destination, head)):
            return head, commit["id"]
    return head, None


def _find_pull_request(
    api: Any, destination: Destination, publication: Publication
) -> CommitRecord | None:
    """The first pull request since launch that is this publication's; later ones are closed."""
    refs = api.list_repo_refs(
        destination.repo_id, repo_type="dataset", include_pull_requests=True
    ).pull_requests
    numbers = sorted(
        int(ref.ref.rpartition("/")[2])
        for ref in refs or ()
        if ref.ref not in destination.base_pull_requests
    )
    found: CommitRecord | None = None
    for number in numbers:
        ref = f"refs/pr/{number}"
        _, mine = _look(destination, publication, ref)
        if mine is None:
            continue
        if found is None:
            url = f"{destination.endpoint}/datasets/{destination.repo_id}/discussions/{number}"
            found = CommitRecord(destination.repo_id, mine, url, ref)
        else:
            api.change_discussion_status(
                destination.repo_id,
                number,
                new_status="closed",
                comment=f"The same as #{found.url.rpartition('/')[2]}.",
                repo_type="dataset",
            )
    return found
