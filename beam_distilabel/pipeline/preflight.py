"""What is checked of a runner before anything is run there: secrets, options, the job."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pydantic import BaseModel

from beam_distilabel.dumping import names_secret
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import HubTarget, open_destination
from beam_distilabel.layout import is_local
from beam_distilabel.pickling import private_texts
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import models_of, resources_of
from beam_distilabel.pipeline.run_request import RunRequest
from beam_distilabel.redaction import hide_secrets, looks_secret
from beam_distilabel.runners import RunnerSettings, choose_runner, staging
from beam_distilabel.secret_texts import SURE_LENGTH, known_secrets
from beam_distilabel.secrets import SecretReference
from beam_distilabel.secrets.fields import remember_secrets, replace_secrets
from beam_distilabel.secrets.references import HUB_LOGIN, missing, source_in
from beam_distilabel.secrets.sealing import how_to_name, noting_unnamed, sealed_here, source_of
from beam_distilabel.secrets.search import first_held, first_token, holds

_LARGE_JOB = 10_000_000
"""Bytes; Dataflow takes jobs of 20 MB at most, and every worker receives all code."""

_OF_WORKERS = "Rows are processed in other processes, which secrets aren't sent to."

logger = logging.getLogger(__name__)


def ready_runner(request: RunRequest) -> RunnerSettings:
    """The runner that a run asks for; refuses what could only fail when the run is under way.

    Raises:
        DistilabelUserError: the runner or an option of it is unknown; what it needs isn't
            installed; a secret would be sent to its workers; they don't see the run's files, or
            have not what a Step asks for.
    """
    try:
        runner = choose_runner(request.runner, request.options)
    except ValueError as error:
        raise DistilabelUserError(hide_secrets(str(error))) from None
    for step in request.graph.steps.values():
        for model in models_of(step):
            model.use_default_engine(runner.default_engine)
    try:
        runner.check()
    except RuntimeError as error:
        raise DistilabelUserError(str(error)) from error
    if request.mode != "finalize" or not runner.shares_process:  # then nothing is asked
        check_secrets(request.graph, request.hub, runner.shares_process)
    if not (runner.local and runner.shares_process):
        check_settings(runner)
        check_options(runner.pipeline_options())
    folders = {"output_dir": request.directory.path}
    if request.response_cache_dir is not None:
        folders["response_cache_dir"] = request.response_cache_dir
    for name, path in folders.items():
        if runner.other_hosts and is_local(path):
            raise DistilabelUserError(
                f"{name}={path!r} is on this machine, and the workers of "
                f"{type(runner).__name__} are on others: name a folder that both reach, such as "
                f"{name}='gs://bucket/folder'."
            )
    for step_name, resources in resources_of(request.graph).items():
        try:
            runner.check_hints(step_name, resources.resource_hints())
        except ValueError as error:
            raise DistilabelUserError(str(error)) from None
    return runner


def check_secrets(graph: Graph, hub: HubTarget | None, shares_process: bool) -> None:
    """Make sure that every secret of the Steps is there where it will be read.

    Args:
        graph: the Steps.
        hub: where the result is published.
        shares_process: whether rows are processed in this process. Then what is named has to be
            here; elsewhere what isn't named can't be used.

    Raises:
        DistilabelUserError: one is not; names Step and field, and says what to do.
    """
    for step in graph.steps.values():
        _remember(step)
    owners = [(step._described(), step) for step in graph.steps.values()]
    found = [(owner, *one) for owner, step in owners for one in secrets_of(step)]
    if hub is not None and hub.token is not None:
        found.append(("push_to_hub", "token", hub.token, "HF_TOKEN"))
    for owner, path, secret, variable in found:
        source = _source(secret)
        if source is None and not shares_process:
            raise DistilabelUserError(
                f"{owner}: {path} is given as it is. {_OF_WORKERS} {how_to_name(variable)}"
            )
        if shares_process and source is not None and _is_missing(secret, source):
            raise DistilabelUserError(f"{owner}: {path}: {missing(source)}.")


def check_destinations(hub: HubTarget | None, steps: Mapping[str, Any]) -> None:
    """Make sure that what is to be published can be, before anything is paid for.

    The job that publishes asks too, but of several jobs that is the last one.

    Args:
        hub: where the result is published.
        steps: the `PushToHub` Steps.

    Raises:
        DistilabelUserError: a repository can't be written to.
    """
    if hub is not None:
        open_destination(hub)
    for step in steps.values():
        open_destination(step.target(), step._described())


def _remember(model: BaseModel) -> None:
    for _, secret, _ in secrets_of(model):
        remember_secrets({"secret": secret})


def secrets_of(model: BaseModel, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """The secrets in the fields of a Step, its models included: (path, secret, variable to use)."""
    fields = {name: getattr(model, name) for name in type(model).model_fields}
    private = private_texts(getattr(model, "__pydantic_private__", None) or {})
    found: list[tuple[str, Any]] = []

    def note(name: str, secret: Any) -> Any:
        found.append((name, secret))
        return secret

    replace_secrets({**fields, **private}, note)
    for name, secret in found:
        known = getattr(model, "_api_key_env_var", "") if name == "api_key" else ""
        known = known or ("HF_TOKEN" if name == "token" else "")
        yield f"{path}{name}", secret, known or _variable(name)
    for name, value in fields.items():
        for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            if getattr(item, "seals_secrets", False):
                inner = name if index is None else f"{name}.{index}"
                yield from secrets_of(item, f"{path}{inner}.")


def _variable(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.rpartition(".")[2]).upper()


def _source(secret: Any) -> str | None:
    """Where a secret can be read again."""
    if isinstance(secret, SecretReference):
        return secret.source
    plain = secret if isinstance(secret, str) else secret.get_secret_value()
    source = (source_in(plain) if isinstance(plain, str) else None) or source_of(plain)
    return source[1] if source else None


def _is_missing(secret: Any, source: str) -> bool:
    reference = secret if isinstance(secret, SecretReference) else SecretReference(source)
    return source != HUB_LOGIN and reference.find() is None


def check_options(options: PipelineOptions) -> None:
    """Refuse Beam options that hold secrets: they travel with the job.

    Raises:
        DistilabelUserError: names the option.
        ValueError: what is to be staged can't be.
    """
    staging.check_options(options)
    beside = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    for file in staging.shadowing(beside) if beside else ():
        logger.warning(
            "%s lies beside the script, and is imported in place of the package of this name, "
            "here and by workers that get the script's path; give it another name.",
            file,
        )
    # Those that Beam's Python side doesn't know, which Flink's job server does, travel too.
    given: Mapping[str, Any] = options.get_all_options(
        drop_default=True, retain_unknown_options=True
    )
    for name, value in given.items():
        if names_secret(name) and value and not isinstance(value, bool):
            raise DistilabelUserError(
                f"options: {name!r} holds a secret, and options travel with the job, where whoever "
                "sees the job sees them. Give it to the workers' environment instead, in the "
                "variable that its service reads there."
            )
        if _looks_secret(value):
            raise DistilabelUserError(
                f"options: the value of {name!r} has a secret in it, and options travel with the "
                "job, where whoever sees the job sees them. Leave it out there, and have the "
                "workers' environment hold it."
            )


def check_settings(settings: RunnerSettings) -> None:
    """Refuse a runner's settings that hold secrets: they are written to files and sent along.

    Raises:
        DistilabelUserError: names the setting.
    """
    fields = {name: getattr(settings, name) for name in type(settings).model_fields}

    def refuse(path: str, secret: Any) -> Any:
        raise DistilabelUserError(
            f"options: {path!r} holds a secret, and the runner's settings are written to files. "
            "Give it to the environment of the runner's processes instead, in the variable that "
            "its service reads there."
        )

    replace_secrets({k: v for k, v in fields.items() if isinstance(v, (str, Mapping))}, refuse)
    for name, value in fields.items():
        if isinstance(value, (str, Mapping, list, tuple)) and _looks_secret(value):
            refuse(name, value)


def _looks_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_looks_secret(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_looks_secret(item) for item in value)
    return isinstance(value, str) and looks_secret(value)


def check_job(job: beam.Pipeline, shares_process: bool = False) -> None:
    """Make sure that a job which is sent away holds no secret; warn where it is large.

    Searched are secrets of Steps, values of this process' environment variables whose names say
    that they are secret, and tokens that their form gives away, through all encodings of the job.

    Args:
        job: all of it.
        shares_process: whether rows are processed here, though another process gets the job.

    Raises:
        DistilabelUserError: it holds one; names the transform.
    """
    with noting_unnamed() as unnamed:
        proto = job.to_runner_api()
    if unnamed and not shares_process:
        raise DistilabelUserError(
            f"{unnamed[0]} is given as it is. {_OF_WORKERS} {how_to_name()} Where code needs one, "
            "it may read its environment when it runs."
        )
    variables = {
        value.strip(): f"the value of the environment variable {name}"
        for name, value in os.environ.items()
        if names_secret(name) and len(value.strip()) >= SURE_LENGTH and not os.path.exists(value)
    }
    secrets = [*sealed_here(), *known_secrets()]
    known = {**dict.fromkeys(secrets, "a secret of a Step"), **variables}
    texts = [text for text in known if len(text) >= SURE_LENGTH]
    parts = proto.components.transforms.values()
    sizes = sorted(((part.spec.ByteSize(), part.unique_name) for part in parts), reverse=True)
    if sum(size for size, _ in sizes) > _LARGE_JOB:
        size, name = sizes[0]
        logger.warning(
            "The job is %.0f MB large, of which %.0f MB are %r. Every worker receives it: code of "
            "a script takes what it names along, so name no large object at the script's top.",
            proto.ByteSize() / 1e6,
            size / 1e6,
            name,
        )
    whole = proto.SerializeToString()
    held = first_held(whole, texts)
    token = None if held is not None else first_token(whole)
    if held is not None:
        what, text = known[texts[held]], texts[held]
    elif token is not None:
        what, text = "a token", token
    else:
        return
    where = next(
        (f"in {p.unique_name!r} " for p in parts if holds(p.SerializeToString(), text)), ""
    )
    raise DistilabelUserError(
        f"the job would hold {what} {where}as plain text. Secrets aren't sent with jobs. Have the "
        "code read it from its environment when it runs, or hold it as a `SecretStr`."
    )
