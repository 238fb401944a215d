"""InstructionBacktranslation: how well a text would serve as an assistant's answer."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
from pydantic import PrivateAttr

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.typing import ChatType, StepColumns

_TASK: Final = """\
A user gave the instruction below, and the response is meant to be an AI assistant's answer to \
it. Judge how good an example of such an answer the response is, on this scale:

1: It doesn't do what was asked: it is off the topic, vague or incomplete, or is something else \
than an answer, such as an advertisement, a menu of a web page or a personal story.
2: It deals with most of what was asked, but not in a direct way, for example by a general method \
in place of the answer itself.
3: It answers everything that was asked and is useful, but reads like a page of a website or an \
article by some person, not like an assistant who answers this user.
4: It is written as an assistant's answer to this instruction, complete, clear and well ordered, \
with little left to improve, such as its length or focus.
5: It is a perfect answer of an assistant: made for this user, by someone who knows the subject, \
well written, with nothing that doesn't belong there.

First give the reasons for your judgement in a few sentences. Then end with a line of this form, \
the number being the score:
Score: <1 to 5>

"""

_SCORE: Final = re.compile(
    r"[*_#\s]{0,10}\bscore(?:[^\w\n]|_){0,10}\s{0,3}([0-9]{1,6})(?![0-9.]*[0-9])", re.IGNORECASE
)
_AFTER: Final = re.compile(r"\A(?:\s*/\s*5|\s*out of 5)?[\s\])}*_.]*", re.IGNORECASE)


def parse(text: str | None) -> tuple[int, str]:
    """Split a judge's answer into its score and its reason.

    Args:
        text: the answer; None where the model gave none.

    Returns:
        1 to 5, and what was written before the score, or after it if nothing was.

    Raises:
        ParseError: there is no answer, no score, or the last one is not from 1 to 5.

    Example:
        >>> parse("It is short.\\n\\n**Score:** 4/5")
        (4, 'It is short.')
    """
    if text is None:
        raise ParseError("the judge gave no answer")
    matches = list(_SCORE.finditer(text))
    if not matches:
        raise ParseError("expected a line such as 'Score: 3' in the answer")
    last = matches[-1]  # the reasons may weigh one score against another
    score = int(last[1])
    if not 1 <= score <= 5:
        raise ParseError(f"expected a score from 1 to 5, got {score}")
    before = text[: last.start()].strip()
    return score, before or _AFTER.sub("", text[last.end() :]).strip()


class InstructionBacktranslation(Task):
    """Scores a response to an instruction from 1 to 5, with the reason.

    It is the curation step of instruction backtranslation: texts that would make good answers of
    an assistant are told from those that only deal with the subject.

    Input columns: `instruction`, `generation`.
    Output columns: `score`, 1 to 5; `reason`, empty where the judge wrote nothing but the score;
        `model_name`.

    Source: Li et al. 2023, https://arxiv.org/abs/2308.06259

    Citations:
        @misc{li2024selfalignmentinstructionbacktranslation,
            title={Self-Alignment with Instruction Backtranslation},
            author={Xian Li and Ping Yu and Chunting Zhou and Timo Schick and Omer Levy and
                Luke Zettlemoyer and Jason Weston and Mike Lewis},
            year={2024},
            eprint={2308.06259},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2308.06259},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Judge(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "judge"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Right, but terse.\\nScore: 4"] * num_generations}
        >>> task = InstructionBacktranslation(llm=Judge())
        >>> task.load()
        >>> row = next(task.process([{"instruction": "2+2?", "generation": "4"}]))[0]
        >>> row["score"], row["reason"]
        (4, 'Right, but terse.')
    """

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "generation"]

    @property
    def outputs(self) -> StepColumns:
        return ["score", "reason", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"score": pa.int64(), "reason": pa.string()})

    def format_input(self, input: Row) -> ChatType:
        """The prompt about an instruction and its response."""
        instruction, generation = text_of(input, "instruction"), text_of(input, "generation")
        prompt = _TASK + "\n".join(["Instruction:", instruction, "", "Response:", generation, ""])
        return [{"role": "user", "content": prompt}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The score and the reason of one answer."""
        score, reason = parse(output)
        return {"score": score, "reason": reason}
