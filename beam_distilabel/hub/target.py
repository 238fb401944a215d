"""Where on the Hub a result is published, as a user says it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.secret_texts import remember_secret
from beam_distilabel.secrets.references import HUB_LOGIN, SecretReference, as_reference

DEFAULT_MESSAGE = "Upload dataset with beam-distilabel"


class HubTarget(BaseModel):
    """A dataset repository and how to publish there.

    Attributes:
        repo_id: `namespace/name`; created if it doesn't exist.
        private: whether a new repository is private.
        token: of the Hub, or where to read it, such as "env:MY_TOKEN"; the one of `hf auth login`
            or `HF_TOKEN` if None. It is written nowhere.
        revision: the branch to commit to, made if it doesn't exist; `main` if None.
        create_pr: open one pull request with everything instead.
        commit_message: of the commit.
        generate_card: write our section of the card; what people wrote around it stays.
        include_script: also publish the script that runs now.

    Raises:
        DistilabelUserError: (from `as_target`) a value can't be used; says which.

    Example:
        >>> HubTarget(repo_id="org/judged", private=True).revision is None
        True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo_id: str
    private: bool = False
    token: SecretStr | None = Field(default=None, exclude=True, repr=False)
    revision: str | None = None
    create_pr: bool = False
    commit_message: str = Field(default=DEFAULT_MESSAGE, min_length=1)
    generate_card: bool = True
    include_script: bool = False

    @field_validator("token", mode="before")
    @classmethod
    def _token_may_be_named(cls, token: Any) -> Any:
        token = as_reference(token)
        if isinstance(token, str):
            remember_secret(token)
        elif type(token) is SecretStr:
            remember_secret(token.get_secret_value())
        return token

    @field_validator("repo_id")
    @classmethod
    def _repo_id_is_one(cls, repo_id: str) -> str:
        from huggingface_hub import utils
        from huggingface_hub.errors import HFValidationError

        try:
            utils.validate_repo_id(repo_id)  # type: ignore[attr-defined]
        except HFValidationError as error:
            raise ValueError(str(error)) from None
        return repo_id


def find_token(token: SecretStr | None) -> SecretStr | None:
    """The token that is meant, else the one of `HF_TOKEN` or `hf auth login`; None without any.

    Workers in other processes read it again where it was read here. One that was read from a file
    may end with the end of its line.

    Raises:
        SecretNotFoundError: the environment variable or the file that `token` names isn't there.
    """
    import huggingface_hub

    given = token.get_secret_value() if token else huggingface_hub.get_token()
    plain = (given or "").strip()
    if not plain:
        return None
    if isinstance(token, SecretReference):
        return SecretReference(token.source, plain)
    return SecretStr(plain) if token else SecretReference(HUB_LOGIN, plain)


def read_token(token: SecretStr | None) -> str | None:
    """`find_token` as plain text, for clients alone."""
    found = find_token(token)
    return found.get_secret_value() if found else None


def as_target(value: Any, who: str) -> HubTarget:
    """A `HubTarget` of one, of its arguments as a dict, or of a repository's name.

    Args:
        value: what a user passed.
        who: who got it, for messages.

    Raises:
        DistilabelUserError: it can't be used.

    Example:
        >>> as_target("org/name", "WriteDistiset").repo_id
        'org/name'
    """
    if isinstance(value, HubTarget):
        return value
    try:
        return HubTarget(**(value if isinstance(value, dict) else {"repo_id": value}))
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise DistilabelUserError(f"{who}: the Hub's target can't be used: {found}") from None
