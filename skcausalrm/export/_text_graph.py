"""The ONNX graph of an encoder, and its union with the graph of a reward."""

import logging
import warnings
from typing import Any
from unittest import mock

from .._utils._extras import import_extra
from .._version import __version__
from ..exceptions import UnsupportedExportError
from ..text._backends import Backend, TransformersBackend, pool
from ._text_tokens import EMBEDDING

# First operator set in which Gelu is one operator. onnxruntime runs it since 1.17.
OPSET = 20
_INPUTS = ("input_ids", "attention_mask")
# Maximum bytes of weights in a file: the limit of protobuf, less room for the graph.
_LARGEST = 2**31 - 2**24


def encoder_graph(backend: Backend, normalize: bool):
    """Return the traced encoder with its pooling and normalisation.

    Parameters
    ----------
    backend : Backend
        Loaded encoder, in float32 on the CPU.
    normalize : bool
        Whether `ConversationEncoder` scales the embeddings to length 1 itself.

    Returns
    -------
    onnx.ModelProto
        Graph from "input_ids" and "attention_mask", (N, L) int64, to "sentence_embedding", (N, d)
        float32.

    Raises
    ------
    UnsupportedExportError
        If torch cannot export the model, or one file cannot hold it.
    MissingExtraError
        If onnxscript is not installed.
    """
    import torch

    import_extra("onnxscript", extra="export", purpose="Exporting an encoder")
    size = 4 * sum(weight.numel() for weight in backend.model.parameters())  # type: ignore[attr-defined]
    if size > _LARGEST:
        raise UnsupportedExportError(
            f"The encoder {backend.settings.source.name!r} takes {size / 2**30:.1f} GiB in float32 "
            f"and one ONNX file holds 2: export the head alone with to_onnx."
        )
    example = torch.ones((2, 7), dtype=torch.int64)
    mask = example.clone()
    mask[1, 5:] = 0
    # logs every operator of torchvision, which is not installed
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    axes = {0: torch.export.Dim("N"), 1: torch.export.Dim("L")}
    try:
        with warnings.catch_warnings(), mock.patch.object(registration, "disabled", True):
            warnings.simplefilter("ignore")  # the exporter warns about the model's source code
            program: Any = torch.onnx.export(
                _module(backend, normalize).eval(),
                (example, mask),
                dynamo=True,
                verbose=False,
                input_names=list(_INPUTS),
                output_names=[EMBEDDING],
                dynamic_shapes={"input_ids": axes, "attention_mask": axes},
                opset_version=OPSET,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UnsupportedExportError(
            f"torch {torch.__version__} cannot export the encoder {backend.settings.source.name!r} "
            f"to ONNX: export the head alone with to_onnx, or train on another encoder."
        ) from error
    model = program.model_proto
    # the exporter records lines of source code with paths of this machine
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def join(encoder, head, apart: bool = False):
    """Return one model from token ids to rewards.

    Parameters
    ----------
    encoder : onnx.ModelProto
        Graph of :func:`encoder_graph`.
    head : onnx.ModelProto
        Graph of a reward of "X", from `to_onnx`.
    apart : bool, default=False
        Whether "X" holds several embeddings of a row. It then is an input of its own, so that each
        text is embedded once and in a batch of its length.

    Returns
    -------
    onnx.ModelProto
        Graph with the head's outputs and "sentence_embedding", without metadata.
    """
    onnx = import_extra("onnx", extra="export", purpose="Exporting an encoder")
    head = onnx.version_converter.convert_version(head, OPSET)
    encoder = onnx.compose.add_prefix(
        encoder, "encoder/", rename_inputs=False, rename_outputs=False
    )
    if apart:  # the number of rows is not that of texts
        for value in (*head.graph.input, *head.graph.output, *head.graph.value_info):
            for axis in value.type.tensor_type.shape.dim:
                axis.dim_param = axis.dim_param and "rows"
    link = [] if apart else [onnx.helper.make_node("Identity", [EMBEDDING], ["X"])]
    inputs = [value for value in encoder.graph.input if value.name in _INPUTS]
    graph = onnx.helper.make_graph(
        [*encoder.graph.node, *link, *head.graph.node],
        "skcausalrm_text_reward",
        [*inputs, *head.graph.input] if apart else inputs,
        [*head.graph.output, *encoder.graph.output],
        [*encoder.graph.initializer, *head.graph.initializer],
    )
    opsets = {opset.domain: opset for model in (head, encoder) for opset in model.opset_import}
    return onnx.helper.make_model(
        graph,
        opset_imports=list(opsets.values()),
        functions=list(encoder.functions),
        ir_version=encoder.ir_version,
        producer_name="skcausalrm",
        producer_version=__version__,
    )


def _module(backend: Backend, normalize: bool) -> Any:
    import torch

    model = backend.model  # type: ignore[attr-defined]
    tiny = torch.finfo(torch.float32).tiny

    class Encoder(torch.nn.Module):
        """Module from token ids to embeddings."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            batch = {"input_ids": input_ids, "attention_mask": attention_mask}
            if isinstance(backend, TransformersBackend):
                hidden = self.model(**batch).last_hidden_state
                vectors = pool(hidden, attention_mask, backend.pooling)
            else:
                vectors = self.model(batch)[EMBEDDING]
            if normalize:
                vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(tiny)
            return vectors.float()

    return Encoder()
