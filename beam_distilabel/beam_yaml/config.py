"""What stands in a YAML file's `config` as constructor arguments: models, secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from beam_distilabel.dumping import is_secret
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.pipeline.registry import find_class
from beam_distilabel.problems import closest
from beam_distilabel.secrets.fields import replace_secrets
from beam_distilabel.secrets.references import source_in


def construct(cls: type[BaseModel], config: Mapping[str, Any], what: str) -> Any:
    """An object of a class with the arguments of a file.

    A model is described by its class's name and its fields, `{type: vLLM, model: ...}`, or as
    `dump()` does it. Names are looked up among the classes that exist here.

    Args:
        cls: the class.
        config: its arguments.
        what: whose they are, for messages.

    Raises:
        DistilabelUserError: a name is unknown, a value doesn't fit, or a secret stands there
            itself.
    """
    values = {}
    for name, value in config.items():
        if name not in cls.model_fields:
            raise DistilabelUserError(
                f"{what} has no argument {name!r}.{closest(name, cls.model_fields)} It takes: "
                f"{', '.join(cls.model_fields)}."
            )
        annotation = cls.model_fields[name].annotation
        if is_secret(annotation):
            _refuse_secret(name, value, what)
        takes_model = _takes_model(annotation)
        values[name] = _model(value, f"{what}, {name!r}") if takes_model else value
    refuse_secrets(config, what)
    try:
        return cls(**values)
    except ValidationError as error:
        raise DistilabelUserError(f"{what}: {_told(error)}") from None


def _told(error: ValidationError) -> str:
    """What is wrong, without what was given: that may be long, or secret."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False)
    )


def _takes_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, EngineModel):
        return True
    return any(map(_takes_model, getattr(annotation, "__args__", ())))


def _model(value: Any, what: str) -> Any:
    """The model, or models, that `value` describes."""
    if isinstance(value, list):
        return [_model(item, what) for item in value]
    if not isinstance(value, Mapping):
        raise DistilabelUserError(f"{what}: {value!r} describes no model. {_MODEL_FORM}")
    info = value.get("type_info")
    info = info if isinstance(info, Mapping) else {"name": value.get("type")}
    name, module = info.get("name"), info.get("module")
    if not isinstance(name, str):
        raise DistilabelUserError(f"{what}: it names no class: {sorted(value)}. {_MODEL_FORM}")
    try:
        cls: Any = find_class(name, None if module is None else str(module), EngineModel)
    except DistilabelUserError as error:
        raise DistilabelUserError(f"{what}: {error} {_MODEL_FORM}") from None
    if cls.model_name is EngineModel.model_name or (
        issubclass(cls, RemoteLLM) and cls.make_client is RemoteLLM.make_client
    ):
        raise DistilabelUserError(f"{what}: {name} is what models are made of, and none itself.")
    fields = {key: item for key, item in value.items() if key not in ("type", "type_info")}
    return construct(cls, fields, f"{what} ({name})")


_MODEL_FORM = "A model is its class and its fields, such as {type: vLLM, model: org/name}."


def refuse_secrets(values: Mapping[str, Any], what: str) -> None:
    """Refuse values of which some are secrets: Beam makes the file's text a part of the job.

    Raises:
        DistilabelUserError: one is, and not the name of one.
    """
    replace_secrets(values, lambda path, value: _refuse_secret(path, value, what))


def _refuse_secret(path: str, value: Any, what: str) -> Any:
    if value is not None and (not isinstance(value, str) or source_in(value) is None):
        raise DistilabelUserError(
            f"{what}: {path!r} is a secret, and what stands in a Beam YAML file becomes part of "
            "the job. Name the environment variable that has it where the job runs: "
            f"`{path.rpartition('.')[2]}: env:NAME`."
        )
    return value


__all__ = ["construct", "refuse_secrets"]
