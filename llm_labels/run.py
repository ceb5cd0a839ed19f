"""Make a label set: ask a labeller about every text of a task, keep each answer, decode, write.

Answers go to an append-only cache as they come; a labelling that was killed goes on where it stopped and gives
the same set as one that was not. Decoding always starts from the kept answers, so another calibration or
decoder costs nothing.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core.errors import UsageError
from bench.core.files import slug, write_atomically
from bench.core.hashes import hash_json
from bench.core.texts import PROMPTINGS, SPLITS
from bench.data.task import sample
from bench.store.provenance import utc_now
from bench.store.records import array_bytes
from llm_labels.cache import Answer, AnswerCache
from llm_labels.decode import UNFINISHED
from llm_labels.kept import reread, rows_there
from llm_labels.labellers import Labeller, Question
from llm_labels.labelsets import Card, SplitCounts, SplitLabels, write_label_set
from llm_labels.prompts import Prompt, Shown, find_prompt, shown, tidy
from llm_labels.sanitise import printable

if TYPE_CHECKING:
    from bench.data.task import TaskData


SYNC_EVERY = 30.0
"""Seconds between forced writes of the answer cache to the disk."""


@dataclass(frozen=True)
class Progress:
    """How far a labelling run is, for display."""

    split: str  # "calibration", "train", "valid" or "test"
    done: int  # answers of this split, those out of the cache included
    total: int
    asked: int  # answers that were asked for now, all splits together
    seconds: float  # since the first question
    rate: float  # questions a second, now
    seconds_left: float | None  # for all splits; None until the rate is known
    tokens: int
    usd: float | None


@dataclass(frozen=True)
class Labelling:
    """A finished label set, or as much of it as the budget paid for."""

    folder: Path
    card: Card
    labels: Mapping[str, SplitLabels]
    probabilities: Mapping[str, np.ndarray]  # float32[K, C] a split; empty for labellers without
    complete: bool  # False: the budget ran out; the rows that were not asked are absent
    from_cache: int  # answers that were there already
    notes: tuple[str, ...] = ()


@dataclass
class _Counter:
    asked: int = 0
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    synced: float = field(default_factory=time.monotonic)


def label_task(
    task: TaskData,
    labeller: Labeller,
    *,
    prompting: str,
    out: Path,
    cache_dir: Path,
    splits: Sequence[str] = SPLITS,
    limit: int | Mapping[str, int] | None = None,
    prompt_file: Path | None = None,
    budget: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Labelling:
    """Label the texts of a task and write the set to `out/<labeller>/<prompting>/<task>/`.

    The labeller reads the texts as the methods do; gold labels are never looked at. `limit`: at most this many
    texts per split, or a mapping from split to that; the texts are those that `bench run --limit` takes.
    `budget`: US dollars for the whole set, kept answers included; when it is spent the set is written with the
    rows that were answered. Rows that the set has from before stay in it.
    Raises UsageError before anything is asked where the request makes no sense, or another set lies there.
    """
    if prompting not in PROMPTINGS:
        raise UsageError(f"prompting '{prompting}' is unknown: choose zero or few")
    wrong = [split for split in splits if split not in SPLITS]
    if wrong or not splits:
        raise UsageError(f"split '{wrong[0] if wrong else ''}' is unknown: choose from train, valid, test")
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise UsageError(f"budget {budget} is not an amount of US dollars: give one of at least 0")
    if budget is not None and labeller.usage.usd is None:
        raise UsageError("a budget needs prices: give those of the server in US dollars per million tokens")
    if prompting == "zero" and getattr(getattr(labeller, "files", None), "base_only", False):
        raise UsageError(f"labeller '{labeller.name}' is a base model, which does not follow instructions: use few")
    task = task.whole or task
    prompt = find_prompt(task.info.name, task.label_names, prompt_file)
    train = task.train.texts
    examples = shown(prompt, train) if prompting == "few" else ()
    settings = {"labeller": labeller.revision, "prompt": prompt.hash(examples), **labeller.settings()}

    now = {split: rows_to_label(task.info.name, split, len(task.texts(split)), limit) for split in SPLITS}
    now = {split: now[split] for split in SPLITS if split in splits}
    parts = slug(labeller.name), prompting, slug(task.info.name)
    folder = Path(out).joinpath(*parts)
    stem = Path(cache_dir) / "-".join(parts)
    with AnswerCache(Path(f"{stem}-{hash_json(settings)[:12]}.jsonl"), lock=Path(f"{stem}.lock")) as cache:
        there = rows_there(folder, task, labeller, settings["prompt"])
        rows = {split: now.get(split, np.zeros(0, np.int64)) for split in SPLITS if split in now or split in there}
        rows |= {split: np.union1d(rows[split], part.rows) for split, part in there.items()}
        texts = {split: task.texts(split).texts for split in rows}
        questions = {"calibration": _questions(prompt, labeller.references(train), examples, settings)}
        for split, own in rows.items():
            questions[split] = _questions(prompt, [texts[split][row] for row in own], examples, settings)
        asked = {split: own for split, own in questions.items() if split not in rows}
        for split, own in rows.items():
            new = np.isin(own, now.get(split, ()))
            asked[split] = [question for question, is_new in zip(questions[split], new, strict=True) if is_new]
            lost = sum(q.key not in cache for q, is_new in zip(questions[split], new, strict=True) if not is_new)
            if lost:
                raise UsageError(
                    f"label set '{folder}' has {lost} {split} rows whose answers are not in '{cache.path}': label "
                    "them again too (--splits, without --limit), or give another --out"
                )
        kept = {q.key: cache[q.key] for own in questions.values() for q in own if q.key in cache}  # once per answer
        spent = _cost(labeller, kept.values()).get("usd", 0.0)
        before = _ask_all(labeller, prompt, asked, cache, budget, spent, progress)
        answers = {split: [cache.get(q.key) for q in qs] for split, qs in questions.items()}
        notes: tuple[str, ...] = ()
        if cache.damaged:
            notes += (f"{cache.damaged} damaged lines in {cache.path.name}: their questions were asked again",)
        complete = all(question.key in cache for own in asked.values() for question in own)

    paid = {q.key: a for split, qs in questions.items() for q, a in zip(qs, answers[split], strict=True) if a}
    references = [answer for answer in answers.pop("calibration") if answer is not None]
    labels, probabilities, calibration, readings = _decode(labeller, prompt, rows, answers, references)
    if changed := reread(folder, there, labels, now):
        notes += (f"{changed} labels in the set are now read differently",)
    cost = _cost(labeller, paid.values())
    card = _card(task, labeller, prompting, settings, labels, calibration, readings, cost)
    hidden = {key for key, answer in paid.items() if answer.cut and not answer.text.strip()}  # thoughts not shown
    if unfinished := readings.get(UNFINISHED, 0) + len(hidden):
        notes += (f"{unfinished} answers ended before the model stopped thinking: allow more tokens (--max-tokens)",)
    (folder / "probabilities.npz").unlink(missing_ok=True)
    write_label_set(folder, card, labels)
    if probabilities:  # float32[K, C] per split, rows in the order of the CSV files
        write_atomically(folder / "probabilities.npz", array_bytes(probabilities))
    return Labelling(folder, card, labels, probabilities, complete, before, notes)


def rows_to_label(task: str, split: str, count: int, limit: int | Mapping[str, int] | None) -> np.ndarray:
    """int64[K] ascending: all rows, or the sample that `bench.data.task.limit_task` takes (a larger one only adds)."""
    most = limit.get(split) if isinstance(limit, Mapping) else limit
    if most is not None and most < 1:
        raise UsageError(f"limit {most} is too small: label at least one text per split")
    rows = np.arange(count)
    return rows if most is None or most >= count else sample(task, split, rows, most)


def _questions(prompt: Prompt, texts: Sequence[str], examples: Sequence[Shown], settings: Mapping) -> list[Question]:
    """One question per text; a text that is itself an example, or like one, is asked without that example."""
    questions = []
    for text in texts:
        own = tidy(text, prompt.max_example_characters)
        left_out = [example.row for example in examples if example.text == own]
        told = next(iter(left_out), None)  # names those with the same text, too
        key = hash_json({"text": tidy(text, prompt.max_characters), "left_out": told, **settings})
        questions.append(Question(key, text, tuple(each for each in examples if each.row not in left_out)))
    return questions


def _ask_all(labeller, prompt, questions, cache, budget, spent, progress) -> int:
    """Ask what is not in the cache. Returns how many answers were in it. `spent`: US dollars for the set so far."""
    keys = {question.key for own in questions.values() for question in own}
    before = sum(key in cache for key in keys)
    to_ask = len(keys) - before
    counter = _Counter()
    labeller.check(prompt, [question for own in questions.values() for question in own if question.key not in cache])

    def stop() -> bool:
        return budget is not None and spent + (labeller.usage.usd or 0.0) >= budget

    for split, own in questions.items():
        own = list({question.key: question for question in own}.values())  # a text that comes twice is asked once
        counter.done = sum(question.key in cache for question in own)

        def store(key: str, answer: Answer, split: str = split, of: int = len(own)) -> None:
            if key not in cache:
                cache.put(key, answer)
                counter.done += 1
                counter.asked += 1
            if time.monotonic() - counter.synced > SYNC_EVERY:
                cache.sync()
                counter.synced = time.monotonic()
            if progress is not None:
                progress(_progress(split, counter, of, to_ask, labeller))

        if own and not stop():
            labeller.ask(prompt, own, cache, store, stop)
    return before


def _progress(split: str, counter: _Counter, of: int, to_ask: int, labeller: Labeller) -> Progress:
    seconds = time.monotonic() - counter.started
    rate = counter.asked / seconds if seconds > 0 else 0.0
    left = max(0, to_ask - counter.asked) / rate if counter.asked >= 5 and rate > 0 else None
    usage = labeller.usage
    tokens = usage.tokens_in + usage.tokens_out
    return Progress(split, counter.done, of, counter.asked, seconds, rate, left, tokens, usage.usd)


def _decode(labeller, prompt, rows, answers, references):
    """(labels, probabilities, calibration, readings): the first two by split, the last how many by rule."""
    labels, probabilities, calibration, readings = {}, {}, "none", Counter()
    for split, chosen in rows.items():
        known = [at for at, answer in enumerate(answers[split]) if answer is not None]
        decoded = labeller.decode(prompt, [answers[split][at] for at in known], references if known else [])
        labels[split] = SplitLabels(chosen[known], decoded.labels, tuple(map(printable, decoded.answers)))
        if decoded.probabilities is not None:
            probabilities[split] = decoded.probabilities
        calibration = decoded.calibration if known else calibration  # the references are the same for all splits
        readings.update(decoded.rules)
    return labels, probabilities, calibration, dict(readings.most_common())


def _card(task, labeller, prompting, settings, labels, calibration, readings, cost) -> Card:
    counts = {
        split: SplitCounts(
            total=len(task.texts(split)),
            asked=len(part.rows),
            answered=int((part.labels >= 0).sum()),
            fingerprint=task.full_fingerprint[split],
        )
        for split, part in labels.items()
    }
    return Card(
        labeller=labeller.name,
        revision=labeller.revision,
        prompting=prompting,
        task=task.info.name,
        label_names=list(task.label_names),
        prompt_hash=settings["prompt"],
        decoding={**labeller.settings(), **getattr(labeller, "decoding", {})},
        calibration=calibration,
        date=utc_now(),
        splits=counts,
        readings=readings,
        cost=cost,
        licence=getattr(getattr(labeller, "files", None), "licence", ""),
    )


def _cost(labeller: Labeller, answers: Iterable[Answer]) -> dict[str, float]:
    """What the answers have cost, whenever they were given: requests, tokens, seconds, US dollars where known."""
    answers = list(answers)
    cost = {
        "requests": float(len(answers)),
        "tokens_in": float(sum(answer.tokens_in for answer in answers)),
        "tokens_out": float(sum(answer.tokens_out for answer in answers)),
        "seconds": round(sum(answer.seconds for answer in answers), 1),
    }
    usd = labeller.price(cost["tokens_in"], cost["tokens_out"])
    return cost if usd is None else {**cost, "usd": round(usd, 6)}
