"""APIGenExecutionChecker: whether the function calls that a model wrote can be made.

The second stage of APIGen (Liu et al. 2024, https://arxiv.org/abs/2406.18518).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr

from beam_distilabel.errors import ColumnError
from beam_distilabel.row import Row
from beam_distilabel.runtime_parameters import RUNTIME_PARAMETER_MARKER
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.tasks.function_calls import FunctionCalls
from beam_distilabel.typing import StepColumns

TIMEOUT_SECONDS = 5.0


class APIGenExecutionChecker(RowStep):
    """Calls the functions that a model chose, with its arguments, and says what came of it.

    The functions are those of a Python file of yours, called in a process of their own, for at most
    5 seconds each. That process has none of the worker's environment variables, so no keys, but it
    is no sandbox: give it only functions that may be called with any arguments. Only functions
    that the file itself defines are called, with literals by name; a text that reads as a Python
    literal, such as "[1, 2]", becomes that.

    Attributes:
        libpath: the Python file, or a folder of files that each define the function of their name.
            Workers read it there.
        check_is_dangerous: whether functions that start processes or threads, delete files, read
            input, evaluate text or end the program are left out; True by default.

    Input columns: `answers`: a list of calls, `{"name", "arguments"}`, or the JSON of one.
    Output columns: `keep_row_after_execution_check`, whether every call returned;
        `execution_result`, a list with what each returned, as text, or why it didn't.

    Source: Liu et al. 2024, https://arxiv.org/abs/2406.18518

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "library.py")
        >>> _ = path.write_text("def double(number): return 2 * number")
        >>> step = APIGenExecutionChecker(libpath=str(path))
        >>> step.load()
        >>> row = {"answers": '[{"name": "double", "arguments": {"number": 21}}]'}
        >>> next(step.process([row]))[0]["execution_result"]
        ['42']
        >>> step.unload()
    """

    code_fields: ClassVar[tuple[str, ...]] = ("libpath", "check_is_dangerous")

    libpath: Annotated[str, RUNTIME_PARAMETER_MARKER] = Field(
        description="A Python file, or a folder of files named as functions."
    )
    check_is_dangerous: Annotated[bool, RUNTIME_PARAMETER_MARKER] = Field(
        default=True, description="Whether functions that look harmful are left out."
    )

    _calls: Any = PrivateAttr(None)

    def load(self) -> None:
        """Looks for the file; its process is begun with the first call.

        Raises:
            LibraryNotFoundError: there is no such file or folder.
        """
        super().load()
        self._calls = FunctionCalls(self.libpath, self.check_is_dangerous, TIMEOUT_SECONDS)

    def unload(self) -> None:
        """Ends the process."""
        super().unload()
        if self._calls is not None:
            self._calls.close()
            self._calls = None

    @property
    def inputs(self) -> StepColumns:
        return ["answers"]

    @property
    def outputs(self) -> StepColumns:
        return ["keep_row_after_execution_check", "execution_result"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema(
            {
                "keep_row_after_execution_check": pa.bool_(),
                "execution_result": pa.list_(pa.string()),
            }
        )

    def transform_row(self, row: Row) -> Row:
        """The row with what came of its calls."""
        results = [self._calls.call(*call) for call in self._read(row["answers"])]
        if not results:
            results = [(False, "No answers were provided.")]
        return {
            **row,
            "keep_row_after_execution_check": all(keep for keep, _ in results),
            "execution_result": [text for _, text in results],
        }

    def _read(self, answers: Any) -> list[tuple[Any, Any]]:
        """The calls' names and arguments.

        Raises:
            ColumnError: the column has something else.
        """
        if isinstance(answers, str) and answers.strip():
            try:
                answers = json.loads(answers)
            except (ValueError, RecursionError) as error:
                raise ColumnError(f"the column 'answers' is no JSON: {error}") from None
        if not answers:
            return []
        if not isinstance(answers, list):
            raise ColumnError(
                f"the column 'answers' has {type(answers).__name__}, expected a list of calls"
            )
        calls = []
        for answer in answers:
            if answer is not None and not isinstance(answer, dict):
                raise ColumnError(
                    f"the column 'answers' lists {type(answer).__name__}, expected calls: "
                    "{'name', 'arguments'}"
                )
            # None is what a generator without an answer gives.
            calls.append(((answer or {}).get("name"), (answer or {}).get("arguments")))
        return calls
