"""Plots as SVG: learning curves, scores with intervals, the best so far, one rung against the next.

Ink is drawn in a marker colour and then left to the page, so that a plot suits light and dark.
Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asiarch.core.comparison import Difference
from asiarch.core.observation import Observation
from asiarch.core.report import Agreement, Progress, Row, Summary
from asiarch.pages.text import number, one_line, signed

INK = "#010203"
"""A marker colour: what the page calls `currentColor`."""
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
BEST, WORSE, LEVEL = "#009e73", "#d55e00", "#8c959f"
WIDTH = 7.4
"""Inches; a page shows it 720 pixels wide."""
FAINT = 0.55
TOP = 5
"""Candidates with a curve of their own."""
STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "asiarch",
}
LIGHT = ".plot { color: #1f2328; font-family: system-ui, sans-serif; stroke-linejoin: round; }"
DARK = "@media (prefers-color-scheme: dark) { .plot { color: #e6edf3; } }"
CLEANING = (
    (r"<metadata>.*?</metadata>", ""),
    (r"<g id=\"[^\"]*\"", "<g"),
    (r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px"),
    (r"font-family: [^;\"]*;? ?", ""),
    (r"<style.*?</style>", ""),
    (r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 xmlns="http://www.w3.org/2000/svg">'),
    ("xlink:href", "href"),
    (INK, "currentColor"),
)
"""What is taken out of matplotlib's SVG: everything that names fonts, addresses or ids that would clash on a page."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture with what it shows, in a sentence."""

    name: str
    caption: str
    svg: str


def plots(observed: Observation, summary: Summary) -> tuple[Plot, ...]:
    """Draw every plot for which there is something to draw."""
    with mpl.rc_context(STYLE):
        drawn = (_scores(summary), _curves(observed, summary), _best_so_far(summary), _rungs(summary))
    return tuple(plot for plot in drawn if plot is not None)


def _scores(summary: Summary) -> Plot | None:
    rungs = [p.rung for p in reversed(summary.progress)]
    panels = [(rung, rows) for rung in rungs if (rows := _compared(summary.rows, rung))]
    if not panels:
        return None
    heights = [len(rows) + 1 for _, rows in panels]
    figure = Figure((WIDTH, 0.215 * sum(heights) + 0.72 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (rung, rows), (panel,) in zip(panels, axes, strict=True):
        _score_panel(panel, rows)
        panel.set_title(f"{rung}: 0 is the best baseline, {_yardstick(summary, rung)}", loc="left")
    return Plot(
        "scores",
        "Each candidate on its deepest rung, against the best baseline there: the difference of the scores with its "
        "95 % interval, and the score itself. Circles are proposals, squares baselines; green is clearly better, "
        "orange clearly worse, grey neither. A triangle stands for what lies beyond the scale.",
        _svg(figure),
    )


def _compared(rows: Sequence[Row], rung: str) -> list[Row]:
    """The first 24 rows that are compared with a baseline on this rung as their deepest."""
    return [row for row in rows if row.deepest and row.deepest.rung == rung and row.to_baseline][:24]


def _yardstick(summary: Summary, rung: str) -> str:
    """The best baseline of a rung, with its score."""
    measured = [(_score(r, rung), r) for r in summary.rows if r.origin == "Baseline" and _on(r, rung)]
    best, row = max(measured, key=lambda pair: pair[0])
    return f"{_name(row)} {number(best)}"


def _on(row: Row, rung: str) -> bool:
    return any(s.rung == rung for s in row.scores)


def _score_panel(panel: Axes, rows: Sequence[Row]) -> None:
    found = [row.to_baseline for row in rows if row.to_baseline]
    ends = [abs(d.value) + (d.half or 0) for d in found]
    # Broken baselines lie far away; the scale is for the others.
    limit = 1.08 * max(e for e in ends if e <= 6 * sorted(ends)[len(ends) // 2])
    panel.axvline(0, color=INK, alpha=FAINT, linewidth=0.9)
    for y, (row, difference) in enumerate(zip(rows, found, strict=True)):
        _dot(panel, y, row, difference, limit)
    panel.set_xlim(-limit, limit)
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_yticks(range(len(rows)), [_name(row) for row in rows])
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6))
    panel.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: signed(x).replace("+0.000", "0")))
    panel.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    panel.set_xlabel("score minus the best baseline's")


def _dot(panel: Axes, y: int, row: Row, difference: Difference, limit: float) -> None:
    value, half = difference.value, difference.half or 0.0
    colour = LEVEL if not difference.clear else BEST if value > 0 else WORSE
    marker = "s" if row.origin == "Baseline" else "o"
    if abs(value) > limit:
        marker, value, half = "<", -0.98 * limit, 0.0
    panel.errorbar(value, y, xerr=half, color=colour, linewidth=1.5, fmt="none")
    panel.plot(value, y, marker=marker, color=colour, markersize=5.5)
    score = number(row.deepest.value) if row.deepest else ""
    panel.text(1.02, y, score, transform=panel.get_yaxis_transform(), va="center", fontsize=8.5)


def _score(row: Row, rung: str) -> float:
    return next(s.value for s in row.scores if s.rung == rung)


def _name(row: Row, width: int = 42) -> str:
    title = one_line(row.title, width)
    return title if row.origin == "Baseline" else f"{_short(row.candidate)} {title}".strip()


def _short(candidate: str) -> str:
    """A candidate's number, which tells it apart within its search."""
    return candidate.rpartition("-")[2]


def _curves(observed: Observation, summary: Summary) -> Plot | None:
    panels = [
        (p.rung, rows) for p in summary.progress if (rows := _with_curve(observed, summary.rows, p.rung))
    ]
    if not panels:
        return None
    figure = Figure((WIDTH, 3.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)
    for (rung, rows), (panel,) in zip(panels, axes, strict=True):
        _curve_panel(panel, rung, rows)
    return Plot(
        "curves",
        f"Training loss of the first seed, as the player claims it (selection never sees it): the best {TOP} "
        "proposals in colour, baselines in grey.",
        _svg(figure),
    )


LEADER: Any = {"arrowstyle": "-", "linewidth": 0.6, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
LEAST_LOSS = 1e-4
"""What a loss of zero is drawn as, on a logarithmic scale."""
Curve = Sequence[tuple[int, float]]


def _with_curve(observed: Observation, rows: Sequence[Row], rung: str) -> list[tuple[Row, Curve]]:
    """All baselines and the best proposals that have a curve on a rung."""
    found: list[tuple[Row, Curve]] = []
    for row in rows:
        measured = next((r for r in observed.candidates[row.candidate].status.rungs if r.name == rung), None)
        proposals = sum(r.origin != "Baseline" for r, _ in found)
        if measured and len(measured.curve) > 1 and (row.origin == "Baseline" or proposals < TOP):
            found.append((row, [(step, max(float(loss), LEAST_LOSS)) for step, loss in measured.curve]))
    return found


def _curve_panel(panel: Axes, rung: str, rows: Sequence[tuple[Row, Curve]]) -> None:
    colours = iter(COLOURS)
    labels = []
    for row, curve in rows:
        baseline = row.origin == "Baseline"
        colour = INK if baseline else next(colours)
        steps, losses = zip(*curve, strict=True)
        look: Any = (
            {"alpha": 0.38, "linewidth": 0.9, "zorder": 1} if baseline else {"linewidth": 1.5, "zorder": 2}
        )
        panel.plot(steps, losses, color=colour, **look)
        labels.append((losses[-1], _name(row, 26), colour, 0.75 if baseline else 1.0))
    last = max(curve[-1][0] for _, curve in rows)
    panel.set_xlim(0, last)
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    panel.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%.3g"))
    panel.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    panel.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
    panel.set_title(rung, loc="left")
    panel.set_xlabel("training step")
    panel.set_ylabel("loss, nats a token (log scale)")
    _label_ends(panel, labels)


def _label_ends(panel: Axes, labels: Sequence[tuple[float, str, str, float]]) -> None:
    """Write each name beside the end of its curve, pushed apart where curves end close together."""
    to_axes = panel.transScale + panel.transLimits
    ends = sorted(
        (float(to_axes.transform((0, y))[1]), name, colour, alpha) for y, name, colour, alpha in labels
    )
    places = apart([end[0] for end in ends], 0.066)
    for place, (end, name, colour, alpha) in zip(places, ends, strict=True):
        panel.annotate(
            name,
            xy=(1.0, end),
            xytext=(1.05, place),
            xycoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour,
            alpha=alpha,
            arrowprops={**LEADER, "color": colour, "alpha": 0.5 * alpha},
        )


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places as little as possible so that neighbours are `gap` apart.

    Least squares under order constraints: pool adjacent violators (Ayer et al. 1955) on what is left beyond the gaps.
    """
    pools: list[tuple[float, int]] = []
    for i, place in enumerate(places):
        total, size = place - gap * i, 1
        while pools and pools[-1][0] / pools[-1][1] > total / size:
            total, size = total + pools[-1][0], size + pools[-1][1]
            pools.pop()
        pools.append((total, size))
    levels = [total / size for total, size in pools for _ in range(size)]
    return [level + gap * i for i, level in enumerate(levels)]


def _best_so_far(summary: Summary) -> Plot | None:
    shown = [p for p in summary.progress if p.candidates]
    if not shown:
        return None
    figure = Figure((WIDTH, 2.5 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, squeeze=False)
    for progress, (panel,) in zip(shown, axes, strict=True):
        _progress_panel(panel, progress)
    return Plot(
        "progress",
        "Each proposal's score in the order in which they were made, and the best so far; the dashed line is the best "
        "baseline.",
        _svg(figure),
    )


def _progress_panel(panel: Axes, progress: Progress) -> None:
    count = range(1, len(progress.values) + 1)
    best = max(progress.baselines.values(), default=None)
    panel.step(
        [*count, count[-1] + 0.5],
        [*progress.best, progress.best[-1]],
        where="post",
        color=BEST,
        linewidth=1.8,
    )
    panel.plot(count, progress.values, "o", color=COLOURS[0], markersize=4.5, alpha=0.9)
    panel.annotate(
        f"best {number(progress.best[-1])}",
        xy=(count[-1] + 0.5, progress.best[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        color=BEST,
        va="center",
        fontsize=8.5,
        annotation_clip=False,
    )
    low = min(progress.values)
    if best is not None:
        panel.axhline(best, color=INK, alpha=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        panel.annotate(
            f"best baseline {number(best)}", xy=(1, best), xycoords=("axes fraction", "data"), xytext=(6, -1),
            textcoords="offset points", va="top" if progress.best[-1] >= best else "bottom", fontsize=8.5, alpha=0.8,
        )  # fmt: skip
        low = min(low, best)
    pad = 0.08 * (max(*progress.best, best or 0) - low) + 1e-3
    panel.set_ylim(low - pad, max(*progress.best, best or 0) + pad)
    panel.set_xlim(0.5, len(progress.values) + 0.5)
    panel.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
    panel.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    panel.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    panel.set_title(progress.rung, loc="left")
    panel.set_xlabel("proposals measured on this rung")
    panel.set_ylabel("score")


def _rungs(summary: Summary) -> Plot | None:
    if not summary.agreements:
        return None
    agreement = summary.agreements[-1]
    figure = Figure((WIDTH * 0.66, 3.6), layout="constrained")
    _scatter(figure.subplots(), agreement, summary.rows)
    return Plot(
        "rungs",
        f"The {agreement.candidates} candidates that both rungs measured; Kendall's tau {number(agreement.tau, 2)} "
        "(1: the cheap rung ranks as the dear one does, 0: no relation).",
        _svg(figure),
    )


def _scatter(panel: Axes, agreement: Agreement, rows: Sequence[Row]) -> None:
    both = [row for row in rows if {agreement.cheap, agreement.dear} <= {s.rung for s in row.scores}]
    for row in both:
        x, y = _score(row, agreement.cheap), _score(row, agreement.dear)
        baseline = row.origin == "Baseline"
        colour, alpha = (INK, FAINT) if baseline else (COLOURS[0], 1.0)
        panel.plot(x, y, "s" if baseline else "o", color=colour, alpha=alpha, markersize=5.5)
        panel.annotate(
            one_line(row.title, 18) if baseline else _short(row.candidate), (x, y), xytext=(6, -3),
            textcoords="offset points", fontsize=7.5, color=colour, alpha=max(alpha, 0.7),
        )  # fmt: skip
    panel.margins(0.14)
    panel.grid(color=INK, alpha=0.12, linewidth=0.6)
    panel.set_xlabel(f"score on {agreement.cheap}")
    panel.set_ylabel(f"score on {agreement.dear}")


def _svg(figure: Figure) -> str:
    """Write a figure as SVG that takes its ink from the page and names no other file or address."""
    text = StringIO()
    with warnings.catch_warnings():
        # A title may hold letters that the measuring font lacks; the reader's browser has them.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, replacement in CLEANING:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    width = round(720 * figure.get_figwidth() / WIDTH)
    style = f"<style>{LIGHT} {DARK}</style>"
    svg = svg.replace("<svg ", f'<svg class="plot" style="width:100%;max-width:{width}px" ', 1)
    return svg.replace(">", f">{style}", 1)
