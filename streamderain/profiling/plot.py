"""Frames per second over resolution as a picture, or as a page that answers the mouse."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamderain.errors import ConfigError, writing
from streamderain.profiling.rows import Measured, Profile, Setup, Size, Skipped
from streamderain.profiling.verdict import RATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".svg", ".html")

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""The palette of Okabe and Ito, which most colour-blind people can tell apart."""

APART = 1.12
"""How many times more pixels the next size along the axis has at least; of others the name is left out."""

MOST_INSIDE = 3
"""Setups that are named inside the picture; of more, all are named below it."""


def check_plot(path: Path) -> None:
    """Raise ConfigError where no plot can be drawn into a file of that name, before anything is measured for it."""
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path} has an ending that tells no kind of plot; allowed: {', '.join(ENDINGS)}")
    library = "plotly" if path.suffix.lower() == ".html" else "matplotlib"
    if importlib.util.find_spec(library) is None:
        raise ConfigError(f"a plot needs {library}; try: pip install 'streamderain[plot]'")


def draw(profile: Profile, path: Path) -> None:
    """Draw `profile` into `path`, a line for each setup; its ending says the kind. Raises ConfigError and SinkError."""
    check_plot(path)
    with writing(path):
        (_page if path.suffix.lower() == ".html" else _picture)(profile, path)


def _points(profile: Profile, setup: Setup, measured: bool) -> list[tuple[Size, float]]:
    """Size and frames per second of a setup, as measured or as expected."""
    rows = [row for row in profile.rows if row.setup == setup]
    if measured:
        return [(row.size, row.fps) for row in rows if isinstance(row, Measured)]
    return [(row.size, row.expected_fps) for row in rows if isinstance(row, Skipped) and row.expected_fps]


def _title(profile: Profile) -> str:
    kind = profile.machine["cuda"] if profile.device.startswith("cuda") else profile.machine["processor"]
    return f"streamderain on {kind}"


def _sizes(profile: Profile) -> list[Size]:
    """The sizes that are named along the axis, by pixels."""
    sizes = sorted({row.size for row in profile.rows}, key=lambda size: size.pixels)
    apart: list[Size] = []
    for size in sizes:
        if not apart or size.pixels > apart[-1].pixels * APART:
            apart.append(size)
    return apart


def _picture(profile: Profile, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="resolution", ylabel="frames per second, end to end")
    axes.set_title(_title(profile), fontsize=11, loc="left")
    for number, setup in enumerate(profile.setups):
        _line(axes, profile, setup, COLOURS[number % len(COLOURS)])
    for number, rate in enumerate(RATES):
        axes.axhline(rate, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        # Beside the picture and away from the neighbouring rate, which is near on this scale.
        shift, across = (4, -5 if number % 2 == 0 else 4), axes.get_yaxis_transform()
        axes.annotate(
            f"{rate} fps", (1, rate), shift, across, "offset points", fontsize=8, color="0.35", va="center",
            annotation_clip=False,
        )  # fmt: skip
    sizes = _sizes(profile)
    axes.set_xticks([size.pixels for size in sizes], [str(size) for size in sizes], rotation=30, ha="right")
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 15), max(high, 90))
    axes.yaxis.set_major_locator(_decades())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="both", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    if len(profile.setups) > MOST_INSIDE:
        figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    else:
        axes.legend(frameon=False, fontsize=9, loc="lower left")
    figure.savefig(path, dpi=150)


def _decades() -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5))


def _line(axes: Axes, profile: Profile, setup: Setup, colour: str) -> None:
    measured, expected = (_points(profile, setup, kind) for kind in (True, False))
    axes.plot([size.pixels for size, _ in measured], [fps for _, fps in measured], "o-", color=colour, label=str(setup))
    if expected:
        # From the last point that was measured on, hollow.
        joined = measured[-1:] + expected
        axes.plot([size.pixels for size, _ in joined], [fps for _, fps in joined], ":", color=colour)
        label = "expected" if len(profile.setups) == 1 else None
        xs, ys = [size.pixels for size, _ in expected], [fps for _, fps in expected]
        axes.plot(xs, ys, "o", color=colour, markerfacecolor="white", label=label)
    if len(profile.setups) == 1:
        for size, fps in measured + expected:
            text = f"{fps:.3g}"
            axes.annotate(text, (size.pixels, fps), (6, 6), textcoords="offset points", fontsize=9, color=colour)


def _page(profile: Profile, path: Path) -> None:
    import plotly.graph_objects as graphs

    figure = graphs.Figure()
    for number, setup in enumerate(profile.setups):
        colour = COLOURS[number % len(COLOURS)]
        for kind, name, dash, symbol in (
            (True, str(setup), "solid", "circle"),
            (False, f"{setup}, expected", "dot", "circle-open"),
        ):
            if points := _points(profile, setup, kind):
                figure.add_scatter(
                    x=[size.pixels for size, _ in points],
                    y=[fps for _, fps in points],
                    text=[str(size) for size, _ in points],
                    hovertemplate="%{text}: %{y:.3g} fps",
                    mode="lines+markers",
                    name=name,
                    line={"color": colour, "dash": dash},
                    marker={"symbol": symbol, "size": 9},
                )
    for number, rate in enumerate(RATES):
        place = "bottom right" if number % 2 == 0 else "top right"
        figure.add_hline(rate, line={"dash": "dash", "color": "gray", "width": 1}, annotation_text=f"{rate} fps",
                         annotation_position=place)  # fmt: skip
    sizes = _sizes(profile)
    labels = {"tickvals": [size.pixels for size in sizes], "ticktext": [str(size) for size in sizes]}
    figure.update_layout(title=_title(profile), template="simple_white", hovermode="closest")
    figure.update_xaxes(type="log", title="resolution", **labels)
    figure.update_yaxes(type="log", title="frames per second, end to end")
    figure.write_html(path, include_plotlyjs=True)
