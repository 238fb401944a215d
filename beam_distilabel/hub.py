"""Publishing on the Hub: subsets as configs of one dataset, and what made them beside them."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.layout import CARD_FILE

if TYPE_CHECKING:
    from pydantic import SecretStr

_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}"
)


def push(
    subsets: Mapping[str, Any],
    repo_id: str,
    *,
    texts: Mapping[str, Path],
    artifacts: Mapping[str, Path],
    make_card: Callable[[str | None], str] | None,
    include_script: bool = False,
    private: bool = False,
    token: str | SecretStr | None = None,
    message: str = "Upload dataset with beam-distilabel",
    revision: str | None = None,
    create_pr: bool = False,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Push every subset as a config of a dataset, then everything else in one commit.

    Args:
        subsets: subset name to `Dataset` or `DatasetDict`.
        repo_id: `namespace/name`; created if it doesn't exist.
        texts: path in the repo to a local text, from which secrets are removed.
        artifacts: path in the repo to a local file, pushed as it is.
        make_card: the card, given the one that is there; None leaves that as it is.
        include_script: also push the script that runs now.
        private: whether a new repo is private.
        token: of the Hub; the one of `hf auth login` or `HF_TOKEN` if None.
        message: of every commit.
        revision: the branch to push to; `main` if None.
        create_pr: open one pull request with everything instead.
        options: for `push_to_hub` of `datasets`.

    Raises:
        DistilabelUserError: the script can't be found, or contains what looks like a secret.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    secret = _reveal(token)
    contents = read_texts(texts, secret)
    if include_script:
        contents.update(read_script(secret))
    for name, subset in subsets.items():
        split = {} if isinstance(subset, dict) else {"split": "train"}
        commit = subset.push_to_hub(
            repo_id,
            config_name=name,
            private=private,
            token=secret,
            commit_message=message,
            revision=revision,
            create_pr=create_pr,
            **{**split, **(options or {})},
        )
        if create_pr:
            # All that follows goes into the pull request that the first push has opened.
            revision, create_pr = commit.pr_revision, False
    api = HfApi(token=secret)
    if make_card is not None:
        contents[CARD_FILE] = make_card(_read_card(api, repo_id, revision)).encode()
    files: dict[str, bytes | Path] = {**contents, **artifacts}
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in files.items()
    ]
    if operations:
        api.create_commit(
            repo_id,
            operations,
            commit_message=message,
            repo_type="dataset",
            revision=revision,
        )


def read_texts(texts: Mapping[str, Path], secret: str | None) -> dict[str, bytes]:
    """The contents of `texts`, without `secret` and what else looks like one."""
    contents = {}
    for name, path in texts.items():
        text = path.read_text("utf-8", "replace")
        if secret:
            text = text.replace(secret, "***")
        contents[name] = _SECRET.sub("***", text).encode()
    return contents


def read_script(secret: str | None) -> dict[str, bytes]:
    """The script that this process runs, by its name.

    Raises:
        DistilabelUserError: there is none, or it contains what looks like a secret.
    """
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if script is None or not script.is_file() or script.suffix != ".py":
        raise DistilabelUserError(
            "push_to_hub: include_script=True, but this process doesn't run a .py file."
        )
    text = script.read_text("utf-8", "replace")
    if _SECRET.search(text) or (secret and secret in text):
        raise DistilabelUserError(
            f"push_to_hub: {script.name} contains what looks like a token. Read it from "
            "the environment instead, or pass include_script=False."
        )
    return {script.name: text.encode()}


def _read_card(api: Any, repo_id: str, revision: str | None) -> str | None:
    from huggingface_hub.errors import EntryNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(
                repo_id, CARD_FILE, repo_type="dataset", revision=revision, local_dir=folder
            )
        except EntryNotFoundError:
            return None
        return Path(path).read_text("utf-8")


def _reveal(token: str | SecretStr | None) -> str | None:
    if token is None or isinstance(token, str):
        return token
    return str(token.get_secret_value())
