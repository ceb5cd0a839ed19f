"""`bench label`: make a label set with an LLM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from typer import Option

from bench.cli.options import DataDir
from bench.cli.shell import OK, SOME_FAILED, app, err, friendly, out


def _help(text: str, panel: str = "What"):
    return Option(help=text, rich_help_panel=panel)


@app.command()
@friendly
def label(
    llm: Annotated[str, _help("smollm2, gemma, a causal LM by name or path, a .gguf file, or a server's model")],
    task: Annotated[str, _help("a task name, or the path of a CSV/JSONL file or WRENCH folder")],
    prompting: Annotated[str, _help("zero or few")] = "few",
    splits: Annotated[str, _help("splits to label")] = "train,valid,test",
    limit: Annotated[int | None, _help("at most N texts per split")] = None,
    name: Annotated[str | None, _help("name of the labeller in tables (default: the model's)")] = None,
    calibration: Annotated[str | None, _help("local models: auto, contextual, batch or none", "Local model")] = None,
    min_margin: Annotated[float | None, _help("local models: no answer below this margin", "Local model")] = None,
    precision: Annotated[str | None, _help("auto, float32, bfloat16, float16", "Local model")] = None,
    base_url: Annotated[str | None, _help("address of an OpenAI-compatible server", "Server")] = None,
    concurrency: Annotated[int | None, _help("concurrent requests", "Server")] = None,
    timeout: Annotated[float | None, _help("timeout of one request in seconds", "Server")] = None,
    attempts: Annotated[int | None, _help("attempts per question (default 7)", "Server")] = None,
    temperature: Annotated[float | None, _help("sampling temperature (default 0)", "Server")] = None,
    max_tokens: Annotated[int | None, _help("maximum tokens per answer (default 100)", "Server")] = None,
    token_field: Annotated[
        str | None, _help("max_tokens, or max_completion_tokens for models that want it", "Server")
    ] = None,
    decoder: Annotated[str | None, _help("strict or official", "Server")] = None,
    price_in: Annotated[float | None, _help("US dollars per million input tokens", "Server")] = None,
    price_out: Annotated[float | None, _help("US dollars per million output tokens", "Server")] = None,
    budget: Annotated[float | None, _help("stop cleanly after this many US dollars", "Server")] = None,
    prompt_file: Annotated[Path | None, _help("your own prompt, in the format of llm_labels/prompts")] = None,
    data_dir: DataDir = None,
    out_dir: Annotated[Path, Option("--out", help="where label sets are written: a data folder's llm_labels")] = Path(
        "llm_labels_out/llm_labels"
    ),
    cache_dir: Annotated[Path | None, _help("where raw answers are kept (default: beside the sets)")] = None,
) -> None:
    """Label the texts of a task with an LLM. Resumes; asks nothing twice; prints agreement only if gold is known."""
    from bench.core.errors import UsageError
    from bench.core.selectors import split_list
    from bench.data.load import load_task
    from llm_labels.labellers import open_labeller
    from llm_labels.run import label_task

    if (price_in is None) != (price_out is None):
        raise UsageError("give both --price-in and --price-out, or neither")
    options: dict[str, Any] = {
        "name": name,
        "calibration": calibration,
        "min_margin": min_margin,
        "precision": precision,
        "base_url": base_url,
        "concurrency": concurrency,
        "timeout": timeout,
        "attempts": attempts,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "token_field": token_field,
        "decoder": decoder,
    }
    if price_in is not None and price_out is not None:
        from llm_labels.labellers.openai_server import Prices

        options["prices"] = Prices(price_in, price_out)
    data = load_task(task, data_dir=data_dir)
    labeller = open_labeller(llm, **options)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"),
        console=err, disable=not err.is_terminal,
    ) as live:  # fmt: skip
        bars: dict[str, TaskID] = {}

        def show(at) -> None:
            if at.split not in bars:
                bars[at.split] = live.add_task(at.split, total=at.total, pace="")
            left = "" if at.seconds_left is None else f" · {at.seconds_left:.0f} s left"
            cost = "" if not at.usd else f" · ${at.usd:.4f}"
            live.update(
                bars[at.split], completed=at.done, total=at.total,
                pace=f"{at.rate:.1f}/s{left} · {at.tokens} tokens{cost}",
            )  # fmt: skip

        made = label_task(
            data,
            labeller,
            prompting=prompting,
            out=out_dir,
            cache_dir=cache_dir or out_dir.parent / "answers",
            splits=split_list(splits),
            limit=limit,
            prompt_file=prompt_file,
            budget=budget,
            progress=show,
        )
    _show_made(made, data)
    if not made.complete:
        err.print("the budget is spent: the set holds what was answered; the same command goes on", highlight=False)
        raise typer.Exit(SOME_FAILED)
    raise typer.Exit(OK)


def _show_made(made, data) -> None:
    table = Table("split", "asked", "answered", "agreement with gold", box=None, pad_edge=False, header_style="bold")
    for split, part in made.labels.items():
        gold = (data.whole or data).gold.of(split)
        agreement = "no gold"
        if gold is not None and len(part.rows):
            agreement = f"{100 * float((part.labels == gold[part.rows]).mean()):.1f} %"
        table.add_row(split, str(len(part.rows)), str(int((part.labels >= 0).sum())), agreement)
    out.print(table)
    if made.card.readings:
        read = ", ".join(f"{rule} {count}" for rule, count in made.card.readings.items())
        out.print(f"how the answers were read: {escape(read)}", highlight=False)
    for note in made.notes:
        out.print(escape(note), highlight=False)
    cost = ", ".join(f"{what} {amount:g}" for what, amount in made.card.cost.items())
    kept = f"{made.from_cache} answers were reused from an earlier run"
    out.print(f"label set in {escape(str(made.folder))} ({escape(cost)}; {kept})", highlight=False, soft_wrap=True)
