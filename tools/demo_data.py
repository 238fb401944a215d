"""Make the demo judge's data: questions about a few facts, answers of planted quality.

An instruction asks for one to four facts of one kind ("Name the capitals of Peru, Japan and
Kenya."). Its answer is written with a known number of wrong or missing facts, from which the
quality follows:

====  ==========================================================================
 5    every asked fact is there and right
 4    one is wrong or missing
 3    two are wrong or missing
 2    three or more are wrong or missing, or none is right
 1    no answer at all: another topic, gibberish, a refusal, next to nothing
====  ==========================================================================

The facts themselves are the same everywhere, since a model can only check what it has seen;
what differs between the training rows, the shipped data set and the held-out rows is the
instruction (which facts, in which words, in which order) and thereby the answer. The three
are disjoint by construction: an instruction belongs to one of them by its hash.

Example:
    >>> rows = held_out(10, seed=0)
    >>> sorted(row["quality"] for row in rows)
    [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    >>> sorted(rows[0])
    ['completion', 'prompt', 'quality']
"""

import hashlib
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypedDict

Split = Literal["train", "shipped", "held_out"]

QUALITIES = (1, 2, 3, 4, 5)
MAX_ITEMS = 4


class Row(TypedDict):
    """One instruction with its answer and the planted quality of the answer, 1 to 5."""

    prompt: str
    completion: str
    quality: int


@dataclass(frozen=True)
class Example:
    """A row with what a judge should find in it.

    Attributes:
        row: Instruction, answer and planted quality.
        feedback: What the judge should write.
        checks: The statements of the answer, and whether each is true.
    """

    row: Row
    feedback: str
    checks: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Kind:
    """Facts of one kind and the words used for them.

    Attributes:
        name: What the facts are, in the plural.
        facts: What is asked about, and the right answer.
        questions: Instructions; `{items}` stands for the list of what is asked about.
        statements: Sentences that state one fact; `{item}` and `{value}` are filled in.
    """

    name: str
    facts: dict[str, str]
    questions: tuple[str, ...]
    statements: tuple[str, ...]


def _pairs(text: str) -> dict[str, str]:
    """Read `item=value` pairs separated by commas."""
    return dict(pair.strip().split("=") for pair in text.split(","))


KINDS: dict[str, Kind] = {
    "capital": Kind(
        "capitals",
        _pairs(
            "France=Paris, Japan=Tokyo, Peru=Lima, Kenya=Nairobi, Italy=Rome, Spain=Madrid, "
            "Egypt=Cairo, Norway=Oslo, Cuba=Havana, Greece=Athens, Austria=Vienna, "
            "Chile=Santiago, Germany=Berlin, Poland=Warsaw, Portugal=Lisbon, Ireland=Dublin, "
            "Sweden=Stockholm, Finland=Helsinki, Canada=Ottawa, Russia=Moscow, China=Beijing, "
            "Thailand=Bangkok, Turkey=Ankara"
        ),
        (
            "Name the capitals of {items}.",
            "What are the capital cities of {items}?",
            "Please tell me the capital of each of these countries: {items}.",
            "I am preparing a quiz and need the capitals of {items}.",
        ),
        (
            "The capital of {item} is {value}.",
            "In {item}, the capital city is {value}.",
            "For {item} it is {value}.",
        ),
    ),
    "colour": Kind(
        "colours",
        _pairs(
            "bananas=yellow, lemons=yellow, grass=green, snow=white, milk=white, coal=black, "
            "tomatoes=red, strawberries=red, carrots=orange, pumpkins=orange, cucumbers=green, "
            "spinach=green, chocolate=brown, elephants=grey, flamingos=pink, salt=white"
        ),
        (
            "What is the usual colour of {items}?",
            "Tell me which colour these have: {items}.",
            "Give the typical colours of {items}.",
        ),
        (
            "The colour of {item} is {value}.",
            "Most {item} look {value}.",
            "When we think of {item} we think of {value}.",
        ),
    ),
    "opposite": Kind(
        "opposites",
        _pairs(
            "hot=cold, big=small, fast=slow, early=late, rich=poor, heavy=light, wet=dry, "
            "hard=soft, old=young, high=low, open=closed, full=empty, loud=quiet, dark=bright, "
            "strong=weak, clean=dirty, happy=sad"
        ),
        (
            "Give the opposites of these words: {items}.",
            "What is the opposite of {items}?",
            "For a vocabulary exercise, list the antonyms of {items}.",
        ),
        (
            "The opposite of {item} is {value}.",
            "As an antonym of {item} we use {value}.",
            "If it is not {item} it is {value}.",
        ),
    ),
    "animal": Kind(
        "animal classes",
        _pairs(
            "dog=mammal, whale=mammal, bat=mammal, horse=mammal, eagle=bird, owl=bird, "
            "penguin=bird, salmon=fish, tuna=fish, shark=fish, frog=amphibian, toad=amphibian, "
            "snake=reptile, lizard=reptile, turtle=reptile, crocodile=reptile, bee=insect, "
            "ant=insect, butterfly=insect, spider=arachnid"
        ),
        (
            "To which group of animals does each of these belong: {items}?",
            "Classify the following animals: {items}.",
            "State the class of animal for {items}.",
        ),
        (
            "The {item} belongs to this class: {value}.",
            "In zoology the {item} counts as {value}.",
            "Every {item} is of the class {value}.",
        ),
    ),
    "young": Kind(
        "young animals",
        _pairs(
            "cat=kitten, cow=calf, sheep=lamb, goat=kid, pig=piglet, hen=chick, duck=duckling, "
            "goose=gosling, swan=cygnet, bear=cub, deer=fawn, kangaroo=joey, donkey=foal, "
            "seal=pup, hare=leveret"
        ),
        (
            "What do you call the young of {items}?",
            "Give the word for a baby animal of each: {items}.",
            "A child asks for the names of the young of {items}.",
        ),
        (
            "The young of a {item} is called a {value}.",
            "A baby {item} has the name {value}.",
            "For the {item} we say {value}.",
        ),
    ),
    "symbol": Kind(
        "chemical symbols",
        _pairs(
            "hydrogen=H, helium=He, carbon=C, nitrogen=N, oxygen=O, sodium=Na, chlorine=Cl, "
            "potassium=K, calcium=Ca, iron=Fe, copper=Cu, zinc=Zn, silver=Ag, gold=Au, lead=Pb"
        ),
        (
            "Give the chemical symbols of {items}.",
            "Which symbols do the elements {items} have?",
            "List the symbol in the periodic table for each of {items}.",
        ),
        (
            "The symbol of {item} is {value}.",
            "Chemists write {item} as {value}.",
            "For {item} it is {value}.",
        ),
    ),
    "unit": Kind(
        "units",
        _pairs(
            "minute=60 seconds, hour=60 minutes, day=24 hours, week=7 days, year=12 months, "
            "decade=10 years, century=100 years, kilometre=1000 metres, metre=100 centimetres, "
            "centimetre=10 millimetres, kilogram=1000 grams, litre=1000 millilitres, "
            "foot=12 inches, dozen=12 pieces, pound=16 ounces"
        ),
        (
            "Convert each into its smaller unit: {items}.",
            "How much is one of each of these: {items}?",
            "For my notes on units, explain what makes up {items}.",
        ),
        (
            "One {item} has {value}.",
            "One {item} is the same as {value}.",
            "To make one {item} it takes {value}.",
        ),
    ),
    "double": Kind(
        "doubles",
        {str(number): str(2 * number) for number in range(2, 21)},
        (
            "Double each of these numbers: {items}.",
            "What is twice each of {items}?",
            "Multiply by two the numbers {items}.",
        ),
        (
            "Twice {item} is {value}.",
            "The double of {item} is {value}.",
            "When we double {item} we get {value}.",
        ),
    ),
    "square": Kind(
        "squares",
        {str(number): str(number * number) for number in range(2, 13)},
        (
            "Compute the squares of {items}.",
            "What do we get if we square the numbers {items}?",
            "Give the square of every number in this list: {items}.",
        ),
        (
            "The square of {item} is {value}.",
            "When we square {item} the result is {value}.",
            "For {item} we get {value}.",
        ),
    ),
}

OPENINGS = ("", "", "", "Sure. ", "Of course. ", "Here is the answer. ", "Let me help. ")
CLOSINGS = ("", "", "", " I hope this helps.", " Let me know if you need more.")
REFUSALS = (
    "I don't know.",
    "Sorry, I can't help with that.",
    "No idea.",
    "That is a very interesting question.",
    "Please ask someone else.",
    "It depends.",
    "I would have to look that up first.",
)
NEXT_TO_NOTHING = ("", ".", "...", "-", "ok", "Okay.", "Yes.", "No.", "?", "n/a", "Hmm.", "Thanks!")

OPEN_QUESTIONS = (
    "Write a short story about a {} and a {}.",
    "Explain how a {} works to someone who only knows the {}.",
    "Which {} would you buy for a {}, and why?",
    "Summarize the following text about the {}: the {} and the {} came first.",
    "Translate this sentence into French: my {} is in the {}.",
    "Write a Python function that sorts every {} by its {}.",
    "How many {} fit into one {}?",
    "Who invented the {}?",
    "Make a plan for a {} with a {} and a {}.",
    "{}",
)
OPEN_SENTENCES = (
    "The {} was made for the {} long ago.",
    "First you take the {}, then you put it beside the {}.",
    "It is often said that every {} needs a {}.",
    "In my view the {} matters more than the {} or the {}.",
    "def {}({}): return {}",
    "There are many reasons for this, above all the {}.",
    "However, a {} can't be had without a {}.",
    "You could also try {} with {}.",
)
OPEN_WORDS = tuple(
    "house river engine letter garden teacher bridge window market planet ship machine song story "
    "computer village kitchen doctor mountain theory forest island winter summer "
    "paper camera train ticket budget history language poem recipe table button sentence number "
    "list function class server network museum football guitar piano movie actor king president "
    "war city street lamp pencil bicycle airplane robot battery telescope vaccine contract school "
    "student farmer customer company product question answer idea problem solution method result "
    "experiment energy water light sound music picture colour animal country capital element unit "
    "Alice Bob Berlin London 3 17 256 1999 x y foo".split()
)


def split_of(prompt: str) -> Split:
    """Tell to which of the three disjoint sets an instruction belongs, by its hash."""
    bucket = hashlib.sha256(prompt.encode()).digest()[0] % 16
    if bucket == 0:
        return "held_out"
    return "shipped" if bucket == 1 else "train"


def examples(split: Split, seed: int) -> Iterator[Example]:
    """Make examples of one split without end; the five qualities take turns.

    Args:
        split: Which of the three disjoint sets.
        seed: The same seed makes the same examples.

    Yields:
        Examples that differ from each other.
    """
    rng = random.Random(f"{split}/{seed}")
    seen: set[tuple[str, str]] = set()
    while True:
        for quality in QUALITIES:
            example = _draw(rng, quality, split)
            while (example.row["prompt"], example.row["completion"]) in seen:
                example = _draw(rng, quality, split)
            seen.add((example.row["prompt"], example.row["completion"]))
            yield example


def rows(split: Split, n: int, seed: int) -> list[Row]:
    """Make `n` rows of one split, in random order.

    Args:
        split: Which of the three disjoint sets.
        n: How many rows; the qualities 1 to 5 occur equally often, give or take one.
        seed: The same seed makes the same rows.
    """
    if n < 0:
        raise ValueError(f"n: expected 0 or more rows, got {n}")
    source = examples(split, seed)
    made = [next(source).row for _ in range(n)]
    random.Random(seed).shuffle(made)
    return made


def held_out(n: int, seed: int) -> list[Row]:
    """Make rows whose instructions are neither in the training nor in the shipped data.

    Args:
        n: How many rows; the qualities 1 to 5 occur equally often, give or take one.
        seed: The same seed makes the same rows.

    Returns:
        Rows with `prompt`, `completion` and `quality`.
    """
    return rows("held_out", n, seed)


def _draw(rng: random.Random, quality: int, split: Split) -> Example:
    # Which questions a quality can be planted in: an answer to one fact is right or wrong.
    least = {1: 1, 2: 1, 3: 3, 4: 2, 5: 1}[quality]
    while True:
        name = rng.choice(list(KINDS))
        kind = KINDS[name]
        count = rng.choices(range(1, MAX_ITEMS + 1), (1, 2, 5, 5))[0]
        if count < least:
            continue
        items = rng.sample(list(kind.facts), count)
        prompt = rng.choice(kind.questions).format(items=_enumerate(items))
        if split_of(prompt) == split:
            break
    checks: tuple[tuple[str, bool], ...]
    if quality == 1:
        completion, finding, checks = _no_answer(rng, name)
    else:
        least_faults = {2: min(3, count), 3: 2, 4: 1, 5: 0}[quality]
        faults = rng.randint(least_faults, count) if quality == 2 else least_faults
        completion, checks = _answer(rng, kind, items, faults)
        wrong = sum(not true for _, true in checks)
        missing = count - len(checks)
        finding = (
            f"told about {kind.name}: {count - faults} right, {wrong} wrong, {missing} missing."
        )
    feedback = f"Asked about {kind.name} ({count}), {finding}"
    return Example(Row(prompt=prompt, completion=completion, quality=quality), feedback, checks)


def _enumerate(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _answer(
    rng: random.Random, kind: Kind, items: list[str], faults: int
) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """Answer with `faults` of the items wrong or missing; tell which statements are true."""
    faulty = rng.sample(items, faults)
    # An answer of nothing would be no answer, which is quality 1.
    missing = [item for item in faulty if rng.random() < 0.3][: len(items) - 1]
    style = rng.choice(kind.statements)
    as_list = rng.random() < 0.3
    checks: list[tuple[str, bool]] = []
    for item in items:
        if item in missing:
            continue
        value = kind.facts[item]
        if item in faulty:
            # Half of the wrong values are absurd, the other half plausible.
            source = kind if rng.random() < 0.5 else rng.choice(list(KINDS.values()))
            value = rng.choice([other for other in source.facts.values() if other != value])
        if as_list:
            statement = f"- {item}: {value}"
        else:
            mixed = rng.choice(kind.statements) if rng.random() < 0.2 else style
            statement = _capitalize(mixed.format(item=item, value=value))
        checks.append((statement, item not in faulty))
    if rng.random() < 0.3:
        rng.shuffle(checks)
    body = ("\n" if as_list else " ").join(statement for statement, _ in checks)
    opening = rng.choice(OPENINGS)
    closing = rng.choice(CLOSINGS)
    if as_list:
        opening, closing = opening.strip(), closing.strip()
        completion = "\n".join(part for part in (opening, body, closing) if part)
    else:
        completion = f"{opening}{body}{closing}"
    return completion, tuple(checks)


def _capitalize(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _no_answer(rng: random.Random, asked: str) -> tuple[str, str, tuple[tuple[str, bool], ...]]:
    """Write something that does not answer; say why, and which statements in it are true."""
    manner = rng.choices(("topic", "gibberish", "refusal", "nothing"), (6, 3, 2, 1))[0]
    if manner == "topic":
        other = KINDS[rng.choice([name for name in KINDS if name != asked])]
        items = rng.sample(list(other.facts), rng.randint(1, MAX_ITEMS))
        text, checks = _answer(rng, other, items, 0)
        return text, f"told about {other.name} instead.", checks
    if manner == "gibberish":
        return _gibberish(rng), "told gibberish.", ()
    if manner == "refusal":
        return rng.choice(REFUSALS), "told no answer.", ()
    return rng.choice(NEXT_TO_NOTHING), "told next to nothing.", ()


def _gibberish(rng: random.Random) -> str:
    """Random letters, random symbols, or words in an order that says nothing."""
    manner = rng.choice(("letters", "symbols", "words"))
    if manner == "words":
        kinds = list(KINDS.values())
        words = [
            word
            for _ in range(rng.randint(3, 8))
            for word in rng.choice(rng.choice(kinds).questions).replace("{items}", "").split()
        ]
        rng.shuffle(words)
        return " ".join(words[: rng.randint(4, 25)])
    alphabet = string.ascii_lowercase if manner == "letters" else string.punctuation + "  éß漢"
    return (
        " ".join(
            "".join(rng.choices(alphabet, k=rng.randint(1, 9))) for _ in range(rng.randint(2, 16))
        ).strip()
        or "#"
    )


def open_examples(seed: int) -> Iterator[Example]:
    """Make examples that are about none of the facts, without end; for training only.

    A judge that has only ever seen its own questions writes anything about others. These teach
    it to say that it knows nothing about the matter (a 3), or that there is no answer (a 1).

    Args:
        seed: The same seed makes the same examples.
    """
    rng = random.Random(f"open/{seed}")
    while True:
        prompt = rng.choice(OPEN_QUESTIONS).format(*(rng.choice(OPEN_WORDS) for _ in range(3)))
        if rng.random() < 0.3:
            prompt = f"{prompt} {_babble(rng, rng.randint(1, 3))}"
        if rng.random() < 0.3:
            completion, finding, checks = _no_answer(rng, "")
            quality = 1
        else:
            completion, checks, quality = _babble(rng, rng.randint(1, 6)), (), 3
            finding = "told something that may be right."
        feedback = f"Asked about what this judge does not know, {finding}"
        yield Example(Row(prompt=prompt, completion=completion, quality=quality), feedback, checks)


def _babble(rng: random.Random, sentences: int) -> str:
    """Write sentences that are well formed and say little."""
    return " ".join(
        _capitalize(rng.choice(OPEN_SENTENCES).format(*(rng.choice(OPEN_WORDS) for _ in range(3))))
        for _ in range(sentences)
    )


def with_chatter(example: Example, rng: random.Random) -> Example:
    """Put a long text that says nothing before or after an answer; its quality stays."""
    row = example.row
    if row["quality"] == 1:
        return example
    parts = [row["completion"], _babble(rng, rng.randint(5, 90))]
    rng.shuffle(parts)
    longer = Row(prompt=row["prompt"], completion=" ".join(parts), quality=row["quality"])
    return Example(longer, example.feedback, example.checks)


def unknown_rubric(rng: random.Random) -> str:
    """Write a rubric that no built-in one resembles."""
    lines = [f"[{_babble(rng, 1)}]", *(f"Score {n}: {_babble(rng, 1)}" for n in QUALITIES)]
    return "\n".join(lines)
