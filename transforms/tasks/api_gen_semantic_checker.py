"""APIGenSemanticChecker: whether function calls, and what they returned, answer a question.

The last stage of APIGen (Liu et al. 2024, https://arxiv.org/abs/2406.18518). The prompt is ours.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.json_answers import json_answer
from beam_distilabel.typing import ChatType, StepColumns

SYSTEM_PROMPT: Final = """\
You check data that teaches a model to call functions: a user's question, the calls that a model \
wrote for it, and what they returned.

The data fails where a call does something else than was asked, where an argument isn't what the \
question says, where calls are missing or needless, where a function was the wrong choice, or \
where what was returned is an error or has nothing to do with the question. Results may be \
shortened, and functions may return made-up values: that alone is no failure."""

_FORM: Final = """\
Answer with a JSON object and nothing else: {"thought": "<what is wrong, or empty>", "passes": \
"yes" or "no"}"""


class APIGenSemanticChecker(Task):
    """Judges whether function calls, and what they returned, answer the question.

    Attributes:
        system_prompt: what makes the data fail.

    Input columns: `func_desc`; `query`; `answers`, the calls; `execution_result`;
        `keep_row_after_execution_check`.
    Output columns: `keep_row_after_semantic_check`, a bool; `thought`; `model_name`.

    Source: Liu et al. 2024, https://arxiv.org/abs/2406.18518

    Citations:
        @misc{liu2024apigenautomatedpipelinegenerating,
            title={APIGen: Automated Pipeline for Generating Verifiable and Diverse Function-Calling
                Datasets},
            author={Zuxin Liu and Thai Hoang and Jianguo Zhang and Ming Zhu and Tian Lan and
                Shirley Kokane and Juntao Tan and Weiran Yao and Zhiwei Liu and Yihao Feng and
                Rithesh Murthy and Liangwei Yang and Silvio Savarese and Juan Carlos Niebles and
                Huan Wang and Shelby Heinecke and Caiming Xiong},
            year={2024},
            eprint={2406.18518},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2406.18518},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Judge(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "judge"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ['{"thought": "", "passes": "yes"}'] * num_generations}
        >>> task = APIGenSemanticChecker(llm=Judge())
        >>> task.load()
        >>> row = {"func_desc": "The square root.", "query": "What is the root of 9?",
        ...        "answers": '[{"name": "root", "arguments": {"of": 9}}]',
        ...        "execution_result": ["3.0"], "keep_row_after_execution_check": True}
        >>> next(task.process([row]))[0]["keep_row_after_semantic_check"]
        True
    """

    system_prompt: str = SYSTEM_PROMPT

    @property
    def inputs(self) -> StepColumns:
        return [
            "func_desc",
            "query",
            "answers",
            "execution_result",
            "keep_row_after_execution_check",
        ]

    @property
    def outputs(self) -> StepColumns:
        return ["keep_row_after_semantic_check", "thought", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of(
            {"keep_row_after_semantic_check": pa.bool_(), "thought": pa.string()}
        )

    def get_structured_output(self) -> dict[str, Any]:
        """An object with `thought` and `passes`."""
        return {
            "properties": {
                "thought": {"title": "Thought", "type": "string"},
                "passes": {"enum": ["yes", "no"], "title": "Passes", "type": "string"},
            },
            "required": ["thought", "passes"],
            "title": "Checker",
            "type": "object",
        }

    def format_input(self, input: Row) -> ChatType:
        """The conversation about one question and its calls."""
        parts = {
            "The functions": text_of(input, "func_desc"),
            "The question": text_of(input, "query"),
            "The calls": _shown(input.get("answers")),
            "What they returned": _shown(input.get("execution_result")),
        }
        lines = [f"{title}:\n{text}\n" for title, text in parts.items()]
        return [
            {"role": "system", "content": self.system_prompt},
            {"role": "user", "content": "\n".join([*lines, _FORM])},
        ]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The verdict and the reason."""
        found = json_answer(output, dict, lambda found: "passes" in found)
        passes, thought = found.get("passes"), found.get("thought")
        if isinstance(passes, str):
            passes = {"yes": True, "no": False}.get(passes.strip().lower())
        if not isinstance(passes, bool):
            raise ParseError(f"expected yes or no under 'passes', got {found.get('passes')!r:.80}")
        if thought is not None and not isinstance(thought, str):
            raise ParseError(f"expected text under 'thought', got {type(thought).__name__}")
        return {"keep_row_after_semantic_check": passes, "thought": thought or ""}


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
