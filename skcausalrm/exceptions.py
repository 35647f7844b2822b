"""Errors and warnings of this package.

Every error inherits the built-in or scikit-learn one that a caller would already catch,
and says in one sentence what was wrong, where, and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "AbsentAnchorsWarning",
    "AskedNonresponseWarning",
    "BaseRateUncertainWarning",
    "BaseRateUnreachedWarning",
    "ContinuousFeedbackWarning",
    "ConversationError",
    "EmbeddingCacheError",
    "ExportParityError",
    "FeedbackFormatError",
    "FeedbackImportWarning",
    "FeedbackValueError",
    "FewFeedbackWarning",
    "FewerFoldsWarning",
    "GroupsError",
    "InsecureServerError",
    "InvertedFeedbackWarning",
    "KnowledgeError",
    "LabelFileError",
    "LossyExportWarning",
    "LowEffectiveSampleSizeWarning",
    "MethodFallbackWarning",
    "MissingExtraError",
    "ModelDirectoryError",
    "NoFeedbackError",
    "NoUnratedRowsWarning",
    "NoiseRateError",
    "OverloadedError",
    "PredictionError",
    "PropensityClippedWarning",
    "PropensityError",
    "ProviderFallbackWarning",
    "PseudoOutcomesError",
    "SharedGroupsWarning",
    "SingleClassError",
    "SkcausalrmWarning",
    "TornLabelWarning",
    "TruncatedTextWarning",
    "UnmatchedLabelsWarning",
    "UnsupportedExportError",
    "UnusedParameterError",
    "UpdateError",
    "VerifiedClassWarning",
    "VerifiedStratumWarning",
]


class FeedbackValueError(ValueError):
    """Feedback, or a judgement in ``verified`` or ``imputation``, holds a value it cannot hold."""


class NoFeedbackError(FeedbackValueError):
    """No row carries feedback."""


class SingleClassError(FeedbackValueError):
    """All feedback is of one class, so nothing separates good from bad."""


class NoiseRateError(ValueError):
    """Flip rates outside [0, 1), or so large that feedback is no better than a coin."""


class PropensityError(ValueError):
    """Known propensities outside (0, 1]."""


class KnowledgeError(ValueError):
    """A base rate or selection log odds given as known that cannot be."""


class PredictionError(ValueError):
    """Predictions that a score cannot use: not finite, or not probabilities where they must be."""


class PseudoOutcomesError(ValueError):
    """Pseudo-outcomes that are not finite, cannot be matched to rows, or cannot be computed."""


class GroupsError(ValueError):
    """Groups that cannot be split: too few, or one that holds most rows."""


class UnusedParameterError(ValueError):
    """A parameter or column was given that the chosen method cannot use."""


class ConversationError(ValueError):
    """Text rows without the needed columns, or with an empty completion."""


class EmbeddingCacheError(RuntimeError):
    """The file of an embedding cache cannot be read or written."""


class FeedbackFormatError(ValueError):
    """A feedback export that cannot be read as the format it is said to be."""


class LabelFileError(ValueError):
    """A file of judged answers that holds something else."""


class ModelDirectoryError(ValueError):
    """A model directory that is incomplete, altered, or from a newer version."""


class UpdateError(ValueError):
    """A model that cannot be updated with these rows, or not at all."""


class ExportParityError(RuntimeError):
    """The exported file does not reproduce the fitted model, so it was not kept."""


class InsecureServerError(ValueError):
    """A server that would be open to everybody without anybody's having said so."""


class OverloadedError(RuntimeError):
    """No room for a request now; `retry_after` says in how many seconds there may be."""

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class UnsupportedExportError(TypeError):
    """A model or an encoder that has no form of the kind asked for."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(
            f'{purpose} needs the package {package!r}: run `pip install "skcausalrm[{extra}]"`.'
        )
        self.package, self.extra, self.purpose = package, extra, purpose

    def __reduce__(self):
        return type(self), (self.package, self.extra, self.purpose)


class SkcausalrmWarning(UserWarning):
    """Base of all warnings of this package."""


class PropensityClippedWarning(SkcausalrmWarning):
    """Many propensities lie at the clipping threshold: overlap is poor."""


class LowEffectiveSampleSizeWarning(SkcausalrmWarning):
    """The weights leave an effective sample under a tenth of the rated rows."""


class FewFeedbackWarning(SkcausalrmWarning):
    """Fewer than 50 rated rows of a class."""


class AbsentAnchorsWarning(SkcausalrmWarning):
    """The extreme quantiles that give the flip rates are poorly determined."""


class SharedGroupsWarning(SkcausalrmWarning):
    """Groups occur in both training and test rows, so test scores are optimistic."""


class AskedNonresponseWarning(SkcausalrmWarning):
    """Over a fifth of the asked rows have no answer: the answers are self-selected again."""


class FeedbackImportWarning(SkcausalrmWarning):
    """Scores of an export were superseded by later ones, or left out; the message counts them."""


class ContinuousFeedbackWarning(SkcausalrmWarning):
    """Noise settings were given for continuous feedback, which has no flips to correct."""


class NoUnratedRowsWarning(SkcausalrmWarning):
    """Every row is rated: there is nothing to correct selection with."""


class VerifiedStratumWarning(SkcausalrmWarning):
    """A kind of row (unrated, disliked, liked) that the logs hold has no verified row."""


class VerifiedClassWarning(SkcausalrmWarning):
    """All verified rows are of one class, so they say nothing of the reward's slope."""


class BaseRateUncertainWarning(SkcausalrmWarning):
    """The logs leave the share of good answers open: the ranking is usable, the level is not."""


class BaseRateUnreachedWarning(SkcausalrmWarning):
    """No solution of the selection likelihood comes near the base rate that was given."""


class MethodFallbackWarning(SkcausalrmWarning):
    """``method="auto"`` did not use "joint"; the message says what it used, and why."""


class InvertedFeedbackWarning(SkcausalrmWarning):
    """Verified rows rank against the predictions."""


class TornLabelWarning(SkcausalrmWarning):
    """Lines of a label file are cut off, so the judgement in them is lost."""


class UnmatchedLabelsWarning(SkcausalrmWarning):
    """Judged answers whose text is not in the logs."""


class TruncatedTextWarning(SkcausalrmWarning):
    """Texts were longer than the encoder reads."""


class FewerFoldsWarning(SkcausalrmWarning):
    """There are fewer groups than folds were asked for, so each group is a fold."""


class LossyExportWarning(SkcausalrmWarning):
    """A reduced precision changes the ranking of texts more than a little."""


class ProviderFallbackWarning(SkcausalrmWarning):
    """The requested onnxruntime provider is not usable, so another one runs."""
