"""What a notebook uses: `bench.load_results(folder)`, then `.cells`, `.table(...)`, `.plot.accuracy(...)`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.core.errors import UsageError
from bench.report import frame, texts
from bench.report.figures import collect as figures
from bench.report.tables.blocks import Block, blocks, check_baseline
from bench.report.tables.cost import cost_doubt
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import parts, pick
from bench.report.tables.result import result_table
from bench.store.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Loaded:
    """A results folder in memory; `load_results` makes it.

    Parameters
    ----------
    results : Results
        The records as read.
    baseline : str
        The method that differences are taken to. Raises UsageError for an unknown one.
    """

    def __init__(self, results: frame.Results, baseline: str = "plain"):
        self.results = results
        self.baseline = check_baseline(results.cells, baseline)

    @property
    def cells(self) -> pd.DataFrame:
        """One row per cell; `bench.report.frame.COLUMNS` says what each column holds. Metrics are fractions."""
        return self.results.cells

    @property
    def curves(self) -> pd.DataFrame:
        """One row per cell and step: accuracy on noisy valid and on test, fit to correct and to wrong labels."""
        return self.results.curves

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the names, and which files were left out."""
        damaged = [f"{each.path.name}: {each.why}" for each in self.results.damaged]
        return [*self.results.notes, *damaged]

    @property
    def tasks(self) -> list[str]:
        """Tasks that have scores."""
        return sorted({task for block in self._blocks for task in block.tasks()})

    @property
    def setups(self) -> list[str]:
        """Set-ups (encoder, mode, recipe, limit), the one with most cells first."""
        return [block.setup for block in self._blocks]

    @property
    def plot(self) -> Plots:
        """The figures of the report."""
        return Plots(self)

    def table(
        self,
        task: str = "",
        metric: str = "accuracy",
        *,
        setup: str | None = None,
        rule: str = "last",
        noise: str = "",
        text: bool = True,
    ) -> pd.DataFrame:
        """Methods x columns (task and noise source), with their average and the difference from the baseline.

        Parameters
        ----------
        task, noise
            Whose columns: of one task, of one noise source; "" is all of them.
        metric
            Its name, as in `cells`: accuracy, macro_f1, ece, ... It is shown in its own unit, mostly percent.
        setup
            One of `setups`; None: the first.
        rule
            The step whose scores count: last or noisy_valid.
        text
            Texts like "81.2 ± 0.4" (mean and half of the 95 % interval over seeds); False: means, float64.

        Returns
        -------
        DataFrame
            One row per method.

        Raises
        ------
        UsageError
            For an unknown task, noise source, metric, set-up or rule, with the nearest known ones.
        """
        import pandas as pd

        task = pick("task", task, self.tasks) if task else ""
        metric = pick("metric", metric, METRICS)
        block = self.block(setup).by(pick("rule", rule, RULE_TEXT))
        noise = pick("noise source", noise, block.noises()) if noise else ""
        table = result_table(block, task, metric, rule, noise=noise)
        grouped = len({head.group for head in table.heads if head.group}) > 1
        names = [(head.group, head.name) if grouped else head.name for head in table.heads]
        columns = pd.MultiIndex.from_tuples(names) if grouped else names
        rows = [
            [" ".join(filter(None, parts(entry, table))) if text else entry.mean for entry in row.entries]
            for row in table.rows
        ]
        return pd.DataFrame(rows, index=pd.Index([row.label for row in table.rows], name="method"), columns=columns)

    def texts(
        self,
        task: str,
        noise: str,
        *,
        split: Literal["test", "train"] = "test",
        setup: str | None = None,
        rule: str = "last",
        data_dir: str | Path | None = None,
    ) -> pd.DataFrame:
        """One row per text of a task and noise source: its labels, and what every method says of it.

        Records hold no texts: they are read from the task's data on this machine, which must be those that the cells
        saw. Nothing is downloaded.

        Parameters
        ----------
        task, noise
            As in `cells`.
        split
            test or train.
        setup
            One of `setups`; None: the first.
        rule
            The step whose predictions of test texts count: last or noisy_valid.
        data_dir
            The folder of data sets; None: `BENCH_DATA_DIR`, or the one in the commands of the records.

        Returns
        -------
        DataFrame
            Its index `row` is the position in the split. `id`, `text`; `gold` and `given` (the noisy label, in train
            that of the first seed): names of classes, `no answer`, or None where unknown. For each method whose
            predictions are kept (of train texts, those of the last step that some methods make) a column with its
            name: the class with the highest probability, averaged over seeds, or None; and `<method> sure`: that
            probability, float64 from 0 to 1, or NaN.

        Raises
        ------
        UsageError
            For an unknown name, or where the texts cannot be read, with what is missing.
        """
        task, block = pick("task", task, self.tasks), self.block(setup)
        noise = pick("noise source", noise, [noise for each, noise in block.columns if each == task])
        sources = texts.Sources(self.results, None if data_dir is None else Path(data_dir))
        part, rule = pick("split", split, texts.SPLITS), pick("rule", rule, RULE_TEXT)
        return texts.frame_of_texts(sources, block, task, noise, part, rule)

    def block(self, setup: str | None = None) -> Block:
        """The cells of one set-up, as tables and figures compare them.

        Parameters
        ----------
        setup
            Its name, one of `setups`; without it the one with most cells.

        Returns
        -------
        Block

        Raises
        ------
        UsageError
            For an unknown name.
        """
        if setup is None:
            return self._blocks[0]
        return self._blocks[self.setups.index(pick("set-up", setup, self.setups))]

    @cached_property
    def _blocks(self) -> list[Block]:
        return [block for block in blocks(self.cells, self.baseline) if block.columns] or blocks(self.cells, None)


class Plots:
    """The report's figures as matplotlib figures: `results.plot.reliability("trec")`.

    In all of them `task` is one of `Loaded.tasks`, `setup` one of `Loaded.setups` (None: the first), and `rule` the
    step whose scores count, last or noisy_valid. They raise UsageError for an unknown name, or where there is no data
    for them.

    Parameters
    ----------
    loaded : Loaded
        Whose figures; `Loaded.plot` has them.
    """

    def __init__(self, loaded: Loaded):
        self._loaded = loaded

    def accuracy(self, task: str, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Accuracy by method with 95 % intervals, one panel per noise source."""
        return self._draw("accuracy", task, setup, rule)

    def ece(self, task: str, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Expected calibration error by method with 95 % intervals."""
        return self._draw("ece", task, setup, rule)

    def reliability(self, task: str, *, setup: str | None = None) -> Figure:
        """Reliability diagrams, noise sources down, methods across."""
        return self._draw("reliability", task, setup)

    def memorisation(self, task: str, *, setup: str | None = None) -> Figure:
        """Fit to right and to wrong labels, and test accuracy, over the steps of training."""
        return self._draw("memorisation", task, setup)

    def worth(self, task: str, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Accuracy after k human labels, and every method's accuracy as a line; needs `gold` with two sizes."""
        return self._draw("worth", task, setup, rule)

    def kinds(self, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Gain over the baseline by kind of noise and by both rules, methods by their mean gain."""
        return self._draw("kinds", "", setup, rule)

    def ranks(self, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Average ranks by accuracy with Nemenyi's critical difference; needs 5 columns and 3 methods."""
        return self._draw("ranks", "", setup, rule)

    def improvement(self, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Accuracy over the baseline by noise rate, one panel per method."""
        return self._draw("improvement", "", setup, rule)

    def pareto(self, *, setup: str | None = None, rule: str = "last") -> Figure:
        """Accuracy against stand-alone seconds per cell."""
        return self._draw("pareto", "", setup, rule)

    def sidyp(self, task: str, *, setup: str | None = None) -> Figure:
        """Inside SiDyP: candidates, the dynamic prior by epoch, paths over the simplex."""
        return self._draw("sidyp", task, setup)

    def embedding(self, task: str, *, setup: str | None = None) -> Figure:
        """t-SNE of the train texts' stored embeddings, wrongly labelled texts marked."""
        return self._draw("embedding", task, setup)

    def confusion(self, task: str) -> Figure:
        """Which labels each gold class was given, by noise source."""
        return self._draw("confusion", task, None)

    def _draw(self, kind: str, task: str, setup: str | None, rule: str = "last") -> Figure:
        loaded = self._loaded
        task = pick("task", task, loaded.tasks) if task else ""
        block = loaded.block(setup)
        made = figures.plans(loaded.results, [block], pick("rule", rule, RULE_TEXT))
        for plan in made:
            if (plan.kind, plan.task) == (kind, task):
                with figures.style():
                    return plan.draw()
        if kind == "pareto" and (doubt := cost_doubt(block)):
            raise UsageError(f"no figure of accuracy against cost: {doubt}")
        where = f"task '{task}' in set-up" if task else "set-up"
        raise UsageError(f"there is no data for the {kind} figure of {where} '{block.setup}'")


def load_results(folder: str | Path, baseline: str = "plain") -> Loaded:
    """Read every record below a results folder.

    Parameters
    ----------
    folder
        What `--results` named, or a pack of it.
    baseline
        The method that differences are taken to.

    Returns
    -------
    Loaded
        The cells as a DataFrame, tables and figures.

    Raises
    ------
    UsageError
        When the folder holds no records or one of a newer schema, or for an unknown baseline.
    """
    return Loaded(frame.load(Path(folder)), baseline)
