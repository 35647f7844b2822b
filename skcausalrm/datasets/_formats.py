"""The format of a source, by its columns."""

import pandas as pd

from ..exceptions import FileFormatError
from ._columns import has_roles
from ._plain import PLAIN_FORMATS
from ._roles import Names
from ._tools import TOOLS

FORMATS = (*PLAIN_FORMATS, *TOOLS)


def detect_format(records: pd.DataFrame, names: Names) -> str:
    """Return the format by the columns; those of a plain log win over likenesses to a tool's."""
    columns = {*map(str, records.columns), str(records.index.name)}
    if names.prompt or names.completion:
        return "plain"
    for name, needed in (
        ("plain", ("prompt", "completion", "feedback")),
        ("trl", ("prompt", "completion", "label")),
    ):
        if columns.issuperset(needed):
            return name
    for tool in TOOLS.values():
        if tool.detect(columns):
            return tool.name
    if has_roles(columns, "prompt", "completion", "feedback"):
        return "plain"
    if has_roles(columns, "messages"):
        return "chat"
    if columns.issuperset(("id", "input", "output")):
        return "langfuse"
    if has_roles(columns, "prompt", "completion"):
        return "plain"
    raise FileFormatError(
        f"The format is not recognised by the columns {sorted(map(str, records.columns))}: rename "
        "them to prompt, completion and feedback, name them with prompt_column, completion_column "
        f"and feedback_name, or name one of the formats {', '.join(FORMATS)}."
    )


def one_format(formats: list[str]) -> str:
    """Return the common format of all sources; plain ones may differ."""
    kinds = set(formats)
    if len(kinds) == 1:
        return formats[0]
    if kinds <= set(PLAIN_FORMATS):
        return "plain"
    raise FileFormatError(
        f"The sources have the formats {sorted(kinds)}, which cannot be read as one export: load "
        "those of each tool by themselves, and pass the resulting DataFrames as a list."
    )
