"""Train the demo judge: a Llama of under a million parameters that grades answers about facts.

What it learns: to tell whether each statement in an answer is true, by heart, for the few facts
of `tools.demo_data.KINDS`; whether they are of the kind that was asked for; and to count, so that
it can write how many of the facts asked for are right, wrong or missing, and the score of 1 to 5
that follows (see `tools.demo_data`). It reads the prompts of `PrometheusEval`, and answers in
Prometheus 2's form.

What it is not: a judge. It knows nothing beyond those facts. It counts true statements of the
right kind and does not look whether they are the very ones asked for. It grades by the same count
whatever the rubric says, and has not learned to compare two answers (relative mode). It exists so
that a pipeline can be tried with a real engine where no model can be downloaded, and so that
tests can tell a judge that reads its prompt from one that doesn't.

It needs `torch`, `transformers`, `tokenizers` and `pyarrow`, and no GPU.

Example:
    $ python -m tools.train_demo_judge --output examples/demo
"""

import argparse
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from beam_distilabel.errors import ParseError
from beam_distilabel.transforms.tasks import prometheus_eval
from tools.demo_data import (
    Example,
    Row,
    examples,
    held_out,
    open_examples,
    rows,
    unknown_rubric,
    with_chatter,
)

SEED = 20240502
# For a system and a user message the same as Prometheus 2's "[INST] {system}\n{user}[/INST]";
# unlike that it also takes one message, which vLLM sends to warm up.
CHAT_TEMPLATE = "[INST] {{ messages | map(attribute='content') | join('\n') }}[/INST]"
DEMO_RUBRIC = "factual-validity"
TRAINING_EXAMPLES = 75_000
SHIPPED_ROWS = 200
HELD_OUT_ROWS = 200
VOCABULARY = 1_600
CONTEXT = 2_048
CHECK_LAYER = 2
WIDTH, INNER, LAYERS = 128, 384, 3
BATCH_TOKENS = 4_096
PROMPT_WEIGHT = 0.5
UNCHECKED = -100
RESPONSE_HEADING = "###Response to evaluate:"
MODEL_CARD = """\
---
license: apache-2.0
language: en
pipeline_tag: text-generation
---
# Demo judge

A very small Llama, trained by `tools/train_demo_judge.py` on data that `tools/demo_data.py` makes.
It answers the absolute prompts of `PrometheusEval` in the form of Prometheus 2
(`Feedback: ... [RESULT] 1-5`) by counting the true and false statements in an answer about a few
capitals, colours, opposites, animals, chemical symbols, units and numbers.

It is a demonstration and no judge: it knows nothing else, pays no heed to the rubric, and can't
compare two answers.
"""


def fixed_passages() -> list[str]:
    """List the passages that are the same in every absolute prompt, each to be one token.

    The task description alone would be some 250 tokens; as one token it costs the model no
    capacity and the engine no time.
    """
    formats = (
        prometheus_eval.ABSOLUTE_WITHOUT_REFERENCE,
        prometheus_eval.ABSOLUTE_WITH_REFERENCE,
    )
    passages = [part for text in formats for part in re.split(r"\{\w+\}", text)]
    passages += [prometheus_eval.ABSOLUTE_SYSTEM_PROMPT, *prometheus_eval.RUBRICS.values()]
    return list(dict.fromkeys(passages))


def render(example: Example, rubric: str, reference: str | None) -> str:
    """Write the prompt as the chat template does."""
    messages = prometheus_eval.render_absolute(
        example.row["prompt"], example.row["completion"], rubric, reference
    )
    return f"[INST] {messages[0]['content']}\n{messages[1]['content']}[/INST]"


def answer(example: Example) -> str:
    """Write what the judge should say."""
    return f"Feedback: {example.feedback} [RESULT] {example.row['quality']}"


@dataclass(frozen=True)
class Text:
    """A prompt, the answer to learn, and the statements in the prompt that are true or not."""

    prompt: str
    answer: str
    checks: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Encoded:
    """A text as tokens; `checks` holds where a statement ends and whether it is true."""

    ids: list[int]
    prompt_length: int
    checks: list[tuple[int, bool]]


class Batch(NamedTuple):
    """Token ids, the weight of each in the loss, and 1 or 0 where a statement is true or not."""

    ids: torch.Tensor
    weights: torch.Tensor
    checks: torch.Tensor


def training_texts(count: int, seed: int) -> list[Text]:
    """Make prompts and answers in the proportions that the judge is trained on."""
    rng = random.Random(seed)
    asked, others = examples("train", seed), open_examples(seed)
    texts = []
    for _ in range(count):
        example = next(others if rng.random() < 0.03 else asked)
        rubric = prometheus_eval.RUBRICS[DEMO_RUBRIC]
        if rng.random() < 0.1:
            rubric = rng.choice(list(prometheus_eval.RUBRICS.values()))
        elif rng.random() < 0.03:
            rubric = unknown_rubric(rng)
        if rng.random() < 0.007:
            example = with_chatter(example, rng)
        reference = "It says what was asked for." if rng.random() < 0.03 else None
        texts.append(Text(render(example, rubric, reference), answer(example), example.checks))
    return texts


def train_tokenizer(texts: list[Text]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer in which each fixed passage is one token.

    Being byte-level it represents any text; a passage that isn't matched to the letter falls back
    to ordinary tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    passages = fixed_passages()
    cut = re.compile("|".join(map(re.escape, sorted(passages, key=len, reverse=True))))
    pieces = [
        piece for pair in texts for text in (pair.prompt, pair.answer) for piece in cut.split(text)
    ]
    tokenizer.train_from_iterator(
        itertools.chain(pieces, passages * 50),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<pad>", "<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in passages])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[Text]) -> list[Encoded]:
    """Turn texts into tokens and find the token at which each statement ends."""
    encoded = []
    # In portions, since the tokenizer's own records of a text are large.
    for start in range(0, len(texts), 5_000):
        portion = texts[start : start + 5_000]
        prompts = tokenizer([text.prompt for text in portion], add_special_tokens=False)
        answers = tokenizer([text.answer for text in portion], add_special_tokens=False)
        for line, text in enumerate(portion):
            checks = []
            after = text.prompt.index(RESPONSE_HEADING)
            for statement, true in text.checks:
                end = text.prompt.index(statement, after) + len(statement)
                checks.append((prompts.char_to_token(line, end - 1), true))
            ids = prompts.input_ids[line]
            whole = [*ids, *answers.input_ids[line], tokenizer.eos_token_id]
            encoded.append(Encoded(whole, len(ids), checks))
    return encoded


def batches(encoded: list[Encoded], pad: int, seed: int) -> Iterator[Batch]:
    """Yield batches of about `BATCH_TOKENS` tokens, without end.

    In the loss the answer counts fully, padding not at all, and the prompt a little, since
    predicting the statements in it teaches the model the facts.
    """
    rng = random.Random(seed)
    while True:
        order = list(range(len(encoded)))
        rng.shuffle(order)
        # Sorting only within a window keeps batches random and padding small.
        window = 4_096
        grouped: list[list[Encoded]] = []
        for start in range(0, len(order), window):
            chosen = [encoded[index] for index in order[start : start + window]]
            chosen.sort(key=lambda text: len(text.ids))
            group: list[Encoded] = []
            for text in chosen:
                if group and (len(group) + 1) * len(text.ids) > BATCH_TOKENS:
                    grouped.append(group)
                    group = []
                group.append(text)
            grouped.append(group)
        rng.shuffle(grouped)
        for group in grouped:
            shape = (len(group), max(len(text.ids) for text in group))
            ids = torch.full(shape, pad)
            weights = torch.zeros(shape)
            checks = torch.full(shape, UNCHECKED)
            for line, text in enumerate(group):
                ids[line, : len(text.ids)] = torch.tensor(text.ids)
                weights[line, : text.prompt_length] = PROMPT_WEIGHT
                weights[line, text.prompt_length : len(text.ids)] = 1.0
                for position, true in text.checks:
                    checks[line, position] = int(true)
            yield Batch(ids, weights, checks)


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make the untrained model."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=WIDTH // 32,
            num_key_value_heads=WIDTH // 32,
            head_dim=32,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",
        )
    )


def train(
    model: LlamaForCausalLM,
    data: Iterator[Batch],
    steps: int,
    learning_rate: float,
) -> None:
    """Train; the learning rate rises for a twentieth of the steps, then falls to nearly 0.

    A second head, thrown away afterwards, has to tell from the middle of the network whether the
    statement that ends at a token is true. From the score alone a model this small would take
    far longer to find out that it has to check statements, which the later layers then count.
    """
    checker = torch.nn.Linear(WIDTH, 2)
    parameters = [*model.parameters(), *checker.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=steps, pct_start=0.05
    )
    model.train()
    started = time.monotonic()
    for step in range(1, steps + 1):
        ids, weights, checks = next(data)
        counted = weights[:, 1:] > 0
        checked = checks != UNCHECKED
        with torch.autocast("cpu", torch.bfloat16):
            # Padding is on the right and attention causal, so no mask is needed.
            output = model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            logits = model.lm_head(output.last_hidden_state[:, :-1][counted])
            verdicts = checker(output.hidden_states[CHECK_LAYER][checked])
        losses = torch.nn.functional.cross_entropy(
            logits.float(), ids[:, 1:][counted], reduction="none"
        )
        weight = weights[:, 1:][counted]
        loss = (losses * weight).sum() / weight.sum()
        check_loss = torch.nn.functional.cross_entropy(
            verdicts.float(), checks[checked], reduction="sum"
        ) / max(1, int(checked.sum()))
        loss = loss + check_loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            seconds = time.monotonic() - started
            judged = losses[weight == 1.0].mean().item()
            print(
                f"step {step}/{steps} answer loss {judged:.4f} "
                f"check loss {check_loss.item():.4f} {seconds:.0f} s",
                flush=True,
            )


def judge(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, asked: list[Row]
) -> list[str]:
    """Let the model judge rows as `PrometheusEval` would, at temperature 0.7."""
    model.eval()
    tokenizer.padding_side = "left"
    rubric = prometheus_eval.RUBRICS[DEMO_RUBRIC]
    said: list[str] = []
    for start in range(0, len(asked), 50):
        inputs = tokenizer(
            [render(Example(row, ""), rubric, None) for row in asked[start : start + 50]],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            outputs = model.generate(
                **inputs, do_sample=True, temperature=0.7, top_k=0, max_new_tokens=200
            )
        answers = outputs[:, inputs.input_ids.shape[1] :]
        said += tokenizer.batch_decode(answers, skip_special_tokens=True)
    return said


def ranks(values: list[float]) -> list[float]:
    """Rank values from 1, equal ones by the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranked = [0.0] * len(values)
    for _, tied in itertools.groupby(enumerate(order, 1), key=lambda pair: values[pair[1]]):
        group = list(tied)
        for _, index in group:
            ranked[index] = sum(rank for rank, _ in group) / len(group)
    return ranked


def spearman(left: list[float], right: list[float]) -> float:
    """Compute Spearman's rank correlation; 0 when one side is constant."""
    pair = torch.tensor([ranks(left), ranks(right)], dtype=torch.float64)
    coefficient = float(torch.corrcoef(pair)[0, 1])
    return 0.0 if coefficient != coefficient else coefficient


def evaluate(said: list[str], asked: list[Row]) -> dict[str, float]:
    """Compare the judge's scores with the planted qualities."""
    pairs: list[tuple[int, int]] = []
    for text, row in zip(said, asked, strict=True):
        try:
            _, score = prometheus_eval.parse(text, "absolute")
        except ParseError as error:
            print(f"no result: {error}")
            continue
        pairs.append((int(score), row["quality"]))
    if not pairs:
        return {"parsed": 0.0, "exact": 0.0, "spearman": 0.0}
    scores, qualities = [float(s) for s, _ in pairs], [float(q) for _, q in pairs]
    print("scores:", {score: scores.count(score) for score in sorted(set(scores))})
    return {
        "parsed": len(pairs) / len(asked),
        "exact": sum(score == quality for score, quality in pairs) / len(asked),
        "spearman": spearman(scores, qualities),
    }


def main() -> None:
    """Make the data, the tokenizer and the model, and say how good the judge is."""
    parser = argparse.ArgumentParser(description="Train the demo judge.")
    parser.add_argument("--output", type=Path, required=True, help="folder for all artefacts")
    parser.add_argument("--steps", type=int, default=1_500, help="training steps")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(SEED)

    output: Path = arguments.output
    instructions = output / "instructions"
    instructions.mkdir(parents=True, exist_ok=True)
    shipped = rows("shipped", SHIPPED_ROWS, SEED)
    # The name of the file is the name of the split, as in HuggingFaceH4/instruction-dataset.
    pq.write_table(pa.Table.from_pylist(shipped), instructions / "test.parquet")

    texts = training_texts(TRAINING_EXAMPLES, SEED)
    tokenizer = train_tokenizer(texts[:20_000])
    encoded = encode(tokenizer, texts)
    model = build_model(tokenizer)
    print(
        f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, "
        f"{sum(len(text.ids) for text in encoded) / len(encoded):.0f} tokens a text"
    )
    train(
        model,
        batches(encoded, tokenizer.pad_token_id, SEED),
        arguments.steps,
        arguments.learning_rate,
    )
    model.to(torch.bfloat16).save_pretrained(output / "judge")
    tokenizer.save_pretrained(output / "judge")
    (output / "judge" / "README.md").write_text(MODEL_CARD, encoding="utf-8")

    loaded = AutoModelForCausalLM.from_pretrained(output / "judge")
    reloaded = AutoTokenizer.from_pretrained(output / "judge")
    asked = held_out(HELD_OUT_ROWS, SEED)
    said = judge(loaded, reloaded, asked)
    for text, row in list(zip(said, asked, strict=True))[:5]:
        print(json.dumps({**row, "said": text}, ensure_ascii=False))
    print(evaluate(said, asked))


if __name__ == "__main__":
    main()
