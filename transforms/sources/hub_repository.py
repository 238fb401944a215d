"""A dataset repository on the Hub: which commit is read, and what to say where it can't be."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import SecretStr

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.hub import find_token
from beam_distilabel.hub.history import commits
from beam_distilabel.hub.retrying import retrying
from beam_distilabel.problems import closest
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.secrets.references import plain_if_there
from beam_distilabel.transforms.sources.files import LOGIN

_PATHS_AT_ONCE = 500

T = TypeVar("T")


class Repository(NamedTuple):
    """A dataset repository at one commit.

    Attributes:
        repo_id: such as "argilla/distilabel-capybara".
        commit: the full id of the commit that is read.
        token: what opens the repository, None where nothing is needed.
        endpoint: URL of the Hub.
    """

    repo_id: str
    commit: str
    token: SecretStr | None
    endpoint: str

    @property
    def plain_token(self) -> str | None:
        """The token as text, for clients alone."""
        return plain_if_there(self.token)

    def api(self) -> Any:
        """A client of the Hub with the token."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.plain_token)

    def path_of(self, file: str, commit: str | None = None) -> str:
        """The URL of a file of the repository for `HfFileSystem`."""
        # What has a slash in it (a pull request's ref) would be ambiguous; commits have none.
        return f"hf://datasets/{self.repo_id}@{commit or self.commit}/{file}"

    def file_bytes(self, files: list[str], commit: str | None = None) -> int:
        """The size of files of the repository, given by their paths in it."""
        with explained(self.repo_id, None, self.plain_token):
            return patiently(
                f"the sizes of the files of {self.repo_id!r}",
                lambda: sum(entry.size for entry in self.paths_info(files, commit)),
            )

    def paths_info(
        self, files: Sequence[str], commit: str | None = None, *, expand: bool = False
    ) -> Iterator[Any]:
        """What the Hub says of files of the repository, asked for in parts.

        Args:
            files: their paths in it.
            commit: where; None is the repository's own.
            expand: say also which commit was the last to change each.
        """
        api = self.api()
        for start in range(0, len(files), _PATHS_AT_ONCE):
            yield from api.get_paths_info(
                self.repo_id,
                list(files[start : start + _PATHS_AT_ONCE]),
                expand=expand,
                revision=commit or self.commit,
                repo_type="dataset",
            )

    def history(self) -> Iterator[tuple[str, datetime.datetime]]:
        """(id, time) of the commits up to the repository's, newest first, read as far as needed."""
        from huggingface_hub import utils

        for commit in commits(self.endpoint, self.repo_id, self.commit, self.plain_token):
            yield commit["id"], utils.parse_datetime(commit["date"])  # type: ignore[attr-defined]


def patiently(what: str, call: Callable[[], T]) -> T:
    """The result of `call`, repeated while the Hub is busy or a connection breaks.

    Raises:
        DistilabelUserError: it didn't come to an end; other errors come as they are.
    """
    try:
        return retrying(what, call)
    except DistilabelUserError:
        raise
    except DistilabelError as error:
        raise DistilabelUserError(str(error)) from error.__cause__


def open_repository(repo_id: str, revision: str | None, token: SecretStr | None) -> Repository:
    """The repository at the commit that `revision` (None: the default branch) is at now.

    Raises:
        DistilabelUserError: repository or revision isn't there, or its files may not be read; says
            what is there, and how to log in.
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise DistilabelUserError(
            f"the dataset {repo_id!r} on {constants.ENDPOINT} can't be loaded: HF_HUB_OFFLINE is "
            "set. Unset it, or load files of your own with LoadDataFromFileSystem."
        )
    found = find_token(token)
    plain = found.get_secret_value() if found else None
    api = HfApi(endpoint=constants.ENDPOINT, token=plain)
    with explained(repo_id, revision, plain):
        info = api.dataset_info(repo_id, revision=revision)
        if info.gated:
            # Who may not read the files of a gated repository may read all about them.
            api.auth_check(repo_id, repo_type="dataset")
    return Repository(repo_id, str(info.sha), found, str(constants.ENDPOINT))


@contextlib.contextmanager
def explained(repo_id: str, revision: str | None, token: str | None) -> Iterator[None]:
    """Turns what the Hub refuses into errors that say what to do.

    Raises:
        DistilabelUserError: in place of any exception; names the repository and the remedy.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"the dataset {repo_id!r} on {constants.ENDPOINT}"
    try:
        yield
    except DistilabelError:
        raise
    except HFValidationError as error:
        raise DistilabelUserError(f"repo_id={repo_id!r}: {error}") from error
    except RevisionNotFoundError as error:
        raise DistilabelUserError(
            f"{where} has no revision {revision!r}.{_revisions(repo_id, revision, token)}"
        ) from error
    except GatedRepoError as error:
        asked = (
            "the account of the token has no access to it. Ask for access on its page, or "
            if token
            else "no token was given. Get access on its page, then "
        )
        raise DistilabelUserError(f"{where} is gated, and {asked}{LOGIN}.") from error
    except RepositoryNotFoundError as error:
        seen = "the account of the token can't see it" if token else "no token was given"
        said = _said(error)
        raise DistilabelUserError(
            f"{where} doesn't exist, or {seen}{said}. If it is private or gated, {LOGIN}."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            problem = f"wasn't opened: the token isn't valid{_said(error)}. To read it, {LOGIN}."
        elif status == 403:
            problem = f"may not be read{_said(error)}. If it is private or gated, {LOGIN}."
        else:
            problem = f"can't be loaded: {first_line(error)}"
        raise DistilabelUserError(f"{where} {problem}") from error
    except Exception as error:  # the transport's own, which depend on its version
        problem = hide_secrets(f"{type(error).__name__}: {first_line(error)}", [token])
        raise DistilabelUserError(f"{where} can't be loaded: {problem}") from error


def unreadable(
    repo_id: str, revision: str, token: str | None, error: Exception
) -> DistilabelUserError:
    """What to say of an error of `datasets`: what was read, what is wrong with it, what to do."""
    from huggingface_hub.errors import HfHubHTTPError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HfHubHTTPError):
            try:
                with explained(repo_id, revision, token):
                    raise seen
            except DistilabelUserError as said:
                return said
        seen = seen.__cause__
    problem = hide_secrets(f"{type(error).__name__}: {first_line(error)}", [token])
    return DistilabelUserError(
        f"the dataset {repo_id!r} can't be read by `datasets`: {problem.rstrip('.')}. Files that "
        "`datasets` doesn't read as they are can be named in LoadDataFromFileSystem, such as "
        f'data_files="hf://datasets/{repo_id}/FOLDER/*.jsonl"; what belongs to a split, and how it '
        "is read, the repository's card can say (`configs`, `dataset_info`)."
    )


def _said(error: Any) -> str:
    """What the Hub itself said about a request that it refused."""
    message = str(getattr(error, "server_message", None) or "").strip()
    generic = not message or message.startswith("Repository not found")
    return "" if generic else f" ({message.splitlines()[0]})"


def _revisions(repo_id: str, asked: str | None, token: str | None) -> str:
    from huggingface_hub import HfApi, constants

    try:
        refs = HfApi(endpoint=constants.ENDPOINT, token=token).list_repo_refs(
            repo_id, repo_type="dataset"
        )
    except Exception:  # the caller reports an error of its own; this one would hide it
        return " Use a branch, a tag or a commit."
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    listed = ", ".join(map(repr, names))
    return f"{closest(asked or '', names)} It has: {listed}, and its commits."


def first_line(error: BaseException) -> str:
    """An error's message without what follows its first line."""
    return str(error).strip().split("\n")[0]
