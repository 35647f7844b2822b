"""Traces of an MLflow experiment, which hold their assessments."""

import functools
import os
from datetime import datetime

from ..._utils._extras import import_extra
from ...exceptions import InvalidInputError
from ._part_folder import PartFolder
from ._source import Page, Source, without_credentials

_TRACES_PER_PAGE = 100


def connect(project: str | None, since: datetime | None) -> Source:
    mlflow = import_extra("mlflow", extra="mlflow", purpose="A pull from MLflow")
    errors = import_extra("mlflow.exceptions", extra="mlflow", purpose="A pull from MLflow")
    address = mlflow.get_tracking_uri()
    client = mlflow.MlflowClient(address)
    name = project or os.getenv("MLFLOW_EXPERIMENT_NAME") or "Default"
    server = without_credentials(address)

    @functools.cache
    def experiment_id() -> str:
        if not project and (given := os.getenv("MLFLOW_EXPERIMENT_ID")):
            return given
        if (experiment := client.get_experiment_by_name(name)) is None:
            raise InvalidInputError(
                f"MLflow at {server} has no experiment {name!r}: name another one as project, or "
                "in MLFLOW_EXPERIMENT_NAME."
            )
        return experiment.experiment_id

    def traces(token: str | None, folder: PartFolder) -> Page:
        page = client.search_traces(
            locations=[experiment_id()],
            filter_string=None
            if since is None
            else f"timestamp_ms >= {int(since.timestamp() * 1000)}",
            max_results=_TRACES_PER_PAGE,
            # Tokens of some stores are offsets: traces that arrive meanwhile come last.
            order_by=["timestamp_ms ASC"],
            page_token=token,
        )
        following = page.token
        if isinstance(following, bytes):  # of a store on this machine
            following = following.decode()
        return [trace.to_dict() for trace in page], following or None

    return Source(
        tool="mlflow",
        title="MLflow",
        server=server,
        stages={"traces": traces},
        answers="traces",
        scores=(),
        errors=(errors.MlflowException, OSError),
        address="MLFLOW_TRACKING_URI",
        credentials="MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD,",
        absent=f"has no experiment {name!r} or no traces: name another one as project.",
        project=name,
    )
