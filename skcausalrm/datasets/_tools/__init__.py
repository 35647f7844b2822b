"""Readers of the exports of tracing, chat and annotation tools."""

from ._annotation import ARGILLA, LABEL_STUDIO
from ._chainlit import TOOL as _chainlit
from ._dify import TOOL as _dify
from ._langfuse import TOOL as _langfuse
from ._langsmith import TOOL as _langsmith
from ._librechat import TOOL as _librechat
from ._mlflow import TOOL as _mlflow
from ._oasst import TOOL as _oasst
from ._open_webui import TOOL as _open_webui
from ._opik import TOOL as _opik
from ._otel import TOOL as _otel
from ._phoenix import TOOL as _phoenix
from ._weave import TOOL as _weave

__all__ = ["TOOLS"]

_ALL = (
    *(_otel, _open_webui, _librechat, _chainlit, _dify, _oasst, ARGILLA, LABEL_STUDIO),
    *(_mlflow, _phoenix, _weave, _langsmith, _opik, _langfuse),
)
# By name, in the order in which they are tried on a table of unknown format.
TOOLS = {tool.name: tool for tool in _ALL}
