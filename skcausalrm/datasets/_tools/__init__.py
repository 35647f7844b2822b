"""Readers of the exports of tracing and chat tools."""

from ._langfuse import TOOL as _langfuse
from ._langsmith import TOOL as _langsmith
from ._mlflow import TOOL as _mlflow
from ._open_webui import TOOL as _open_webui
from ._opik import TOOL as _opik
from ._otel import TOOL as _otel
from ._phoenix import TOOL as _phoenix

__all__ = ["TOOLS"]

# By name, in the order in which they are tried on a table of unknown format.
TOOLS = {
    tool.name: tool
    for tool in (_otel, _open_webui, _mlflow, _phoenix, _langsmith, _opik, _langfuse)
}
