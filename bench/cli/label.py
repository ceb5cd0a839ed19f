"""`bench label`: make a label set with an LLM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from typer import Option

from bench.cli.options import DataDir
from bench.cli.shell import SOME_FAILED, app, err, folder_for, friendly, out, say, table
from bench.core.texts import plural

LABELLER = (
    "name", "calibration", "min_margin", "precision", "base_url", "concurrency", "timeout", "attempts", "temperature",
    "max_tokens", "token_field", "decoder",
)  # fmt: skip
"""The options that the labeller is made with."""


def _help(text: str, panel: str = "Label set", flag: str = "") -> Any:
    return Option(*([flag] if flag else []), help=text, rich_help_panel=panel)


@app.command("label")
@friendly
def label(
    context: typer.Context,
    llm: Annotated[str, _help("smollm2, gemma, the name or path of a causal LM, a .gguf file, or a server's model")],
    task: Annotated[str, _help("task name, or path of a CSV/JSONL file or WRENCH folder")],
    prompting: Annotated[str, _help("prompting: zero or few")] = "few",
    splits: Annotated[str, _help("splits to label")] = "train,valid,test",
    limit: Annotated[int | None, _help("at most N texts per split")] = None,
    name: Annotated[str | None, _help("name of the labeller in tables (default: the model's)")] = None,
    prompt_file: Annotated[Path | None, _help("your own prompt, in the format of llm_labels/prompts")] = None,
    out_dir: Annotated[Path, _help("folder for label sets: the llm_labels of a data folder", flag="--out")] = Path(
        "llm_labels_out/llm_labels"
    ),
    cache_dir: Annotated[Path | None, _help("folder for raw answers (default: beside the sets)")] = None,
    data_dir: DataDir = None,
    calibration: Annotated[
        str | None, _help("calibration of scores: auto, contextual, batch or none", "Local model")
    ] = None,
    min_margin: Annotated[
        float | None, _help("smallest margin between the best two labels; below it, no answer", "Local model")
    ] = None,
    precision: Annotated[str | None, _help("auto, float32, bfloat16 or float16", "Local model")] = None,
    base_url: Annotated[str | None, _help("address of an OpenAI-compatible server", "Server")] = None,
    concurrency: Annotated[int | None, _help("concurrent requests", "Server")] = None,
    timeout: Annotated[float | None, _help("timeout per request, in seconds", "Server")] = None,
    attempts: Annotated[int | None, _help("attempts per question (default 7)", "Server")] = None,
    temperature: Annotated[float | None, _help("sampling temperature (default 0)", "Server")] = None,
    max_tokens: Annotated[int | None, _help("maximum tokens per answer (default 100)", "Server")] = None,
    token_field: Annotated[
        str | None, _help("max_tokens, or max_completion_tokens for models that require it", "Server")
    ] = None,
    decoder: Annotated[str | None, _help("how answers are read: strict or official", "Server")] = None,
    price_in: Annotated[float | None, _help("US dollars per million input tokens", "Server")] = None,
    price_out: Annotated[float | None, _help("US dollars per million output tokens", "Server")] = None,
    budget: Annotated[float | None, _help("stop cleanly after spending this many US dollars", "Server")] = None,
) -> None:
    """Label the texts of a task with an LLM; where gold is known, print the agreement with it.

    Run the same command again to continue where it stopped; no question is asked twice.
    """
    from bench.core.errors import UsageError
    from bench.core.selectors import split_list
    from bench.data.load import load_task
    from llm_labels.labellers import open_labeller
    from llm_labels.run import label_task

    folder_for(out_dir)
    options = {option: context.params[option] for option in LABELLER}
    if (price_in is None) != (price_out is None):
        raise UsageError("give both --price-in and --price-out, or neither")
    if price_in is not None and price_out is not None:
        from llm_labels.labellers.openai_server import Prices

        options["prices"] = Prices(price_in, price_out)
    data = load_task(task, data_dir=data_dir)
    labeller = open_labeller(llm, **options)
    if address := getattr(labeller, "address", ""):
        say(f"sending the texts to {labeller.revision} at {address}", to=err)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}")
    with Progress(*columns, console=err, disable=not err.is_terminal) as live:
        bars: dict[str, TaskID] = {}

        def show(at) -> None:
            if at.split not in bars:
                bars[at.split] = live.add_task(at.split, total=at.total, pace="")
            left = "" if at.seconds_left is None else f" · {at.seconds_left:.0f} s left"
            pace = f"{at.rate:.1f}/s{left} · {at.tokens} tokens{f' · ${at.usd:.4f}' if at.usd else ''}"
            live.update(bars[at.split], completed=at.done, total=at.total, pace=pace)

        made = label_task(
            data, labeller, prompting=prompting, out=out_dir, cache_dir=cache_dir or out_dir.parent / "answers",
            splits=split_list(splits), limit=limit, prompt_file=prompt_file, budget=budget, progress=show,
        )  # fmt: skip
    _show_made(made, data)
    if not made.complete:
        say(
            "the budget is spent: the set keeps the answers so far; run the same command again to continue",
            to=err,
        )
        raise typer.Exit(SOME_FAILED)


def _show_made(made, data) -> None:
    import numpy as np

    def row(split: str, part) -> tuple[str, ...]:
        gold = (data.whole or data).gold.of(split)
        known = [] if gold is None else part.rows[gold[part.rows] >= 0]
        hits = part.labels[np.isin(part.rows, known)] == gold[known] if len(known) else []
        agreement = f"{100 * float(np.mean(hits)):.1f} %" if len(known) else "no gold"
        return split, str(len(part.rows)), str(int((part.labels >= 0).sum())), agreement

    heads = ("split", "asked", "answered", "agreement with gold")
    out.print(table(heads, [row(*each) for each in made.labels.items()]))
    if made.card.readings:
        say("how the answers were read: " + ", ".join(f"{rule} {times}" for rule, times in made.card.readings.items()))
    for note in made.notes:
        say(note)
    names = {"seconds": "seconds of waiting (summed over requests)"}  # several may wait at a time
    cost = ", ".join(f"{names.get(what, what)} {amount:g}" for what, amount in made.card.cost.items())
    kept = f"{plural(made.from_cache, 'answer')} reused from an earlier run"
    say(f"label set in {made.folder} ({cost}; {kept})")
