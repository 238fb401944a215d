"""docs/cli.md has every command as it is."""

from __future__ import annotations

import pytest

from beam_distilabel.pipeline import interrupt
from tools.cli_page import PAGE, commands, with_commands


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_commands(page), "run `python -m tools.cli_page`"


def test_every_command_and_option_says_what_it_is_for() -> None:
    for path, command in commands():
        assert command.help, path
        for parameter in command.params:
            assert parameter.help, f"{path} {parameter.name}"


def test_a_page_without_the_place_for_them() -> None:
    with pytest.raises(ValueError, match="has to have the lines"):
        with_commands("# The command line\n")


def test_the_command_that_goes_on_knows_the_options_of_run() -> None:
    run = dict(commands())["beam-distilabel pipeline run"]
    flags = {
        name
        for parameter in run.params
        if getattr(parameter, "is_flag", False) and parameter.name != "help"
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert flags - {"--no-ignore-cache", "--no-trust-remote-code"} == interrupt._FLAGS
    options = {name for parameter in run.params for name in parameter.opts}
    assert interrupt._HARMLESS | interrupt._FLAGS_TO_KEEP <= options
