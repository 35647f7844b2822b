"""Pictures of a report: those Displays that apply, light and dark, as data of an HTML page."""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from ..exceptions import FeedbackError, GroupsError, InvalidInputError, UnusedParameterError

# What a log may lack, so that a part of the report is left out with the reason.
LACKS = (FeedbackError, GroupsError, InvalidInputError, UnusedParameterError)
# Grounds are those of the page's cards.
_STYLES = {
    "light": ("default", "#ffffff"),
    "dark": ("dark_background", "#161b22"),
}
_INCHES, _DPI = (6.6, 4.95), 110


class Picture(NamedTuple):
    """A Display, light and dark.

    Attributes
    ----------
    title, caption : str
    light, dark : str
        URLs that hold the PNG.
    """

    title: str
    caption: str
    light: str
    dark: str


# What draws a Display on axes.
Draw = Callable[[Any], Any]


def draw_pictures(wanted: list[tuple[str, str, Draw]]) -> dict[str, list]:
    """Draw what can be drawn.

    Parameters
    ----------
    wanted : list of (str, str, callable)
        Title, caption, and a function from axes to a Display.

    Returns
    -------
    dict
        "shown", pictures; "left_out", titles and reasons.
    """
    shown: list[Picture] = []
    left_out: list[tuple[str, str]] = []
    for title, caption, draw in wanted:
        try:
            light, display = _png("light", draw)
        except LACKS as reason:
            left_out.append((title, str(reason)))
            continue
        dark, _ = _png("dark", display.plot)
        shown.append(Picture(title, caption, light, dark))
    return {"shown": shown, "left_out": left_out}


def _png(kind: str, draw: Draw) -> tuple[str, Any]:
    from matplotlib import style
    from matplotlib.figure import Figure

    name, ground = _STYLES[kind]
    with style.context([name, {"figure.facecolor": ground, "axes.facecolor": ground}]):
        figure = Figure(figsize=_INCHES, layout="constrained")
        display = draw(figure.add_subplot())
        content = BytesIO()
        figure.savefig(content, format="png", dpi=_DPI, facecolor=ground)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}", display
