"""Errors and warnings of this package.

Every error inherits the built-in one that a caller would already catch, and states in one
sentence what was wrong, where, and what to do. A warning's `code` tells apart the messages that
share a class.
"""


class FeedbackError(ValueError):
    """Feedback that cannot be fitted: absent, of one class, or with values it cannot hold."""


class GroupsError(ValueError):
    """Groups that cannot be split: too few, or one that holds most rows."""


class InvalidInputError(ValueError):
    """A column or parameter with a value it cannot have: text rows, rates, propensities, z."""


class UnusedParameterError(ValueError):
    """A parameter or column was given that the chosen method cannot use."""


class FileFormatError(ValueError):
    """A log, label file or embedding cache that cannot be read as the format it claims to be."""


class ModelDirectoryError(ValueError):
    """A model directory that is incomplete, altered, or from a newer version."""


class ThresholdError(ValueError):
    """The verified rows certify no threshold at the stated risk."""


class ExportParityError(RuntimeError):
    """The exported file does not reproduce the fitted model, so it was not kept."""


class UnsupportedExportError(TypeError):
    """A model or an encoder that cannot be exported in the requested form."""


class OverloadedError(RuntimeError):
    """No room for a request now.

    Parameters
    ----------
    message : str
        What was refused.
    retry_after : int
        Seconds to wait.
    """

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class MissingExtraError(ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        Import name of the missing package.
    extra : str
        Extra of skcausalrm that installs it.
    purpose : str
        Subject of the message: what needs the package.
    """

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(
            f'{purpose} needs the package {package!r}: run `pip install "skcausalrm[{extra}]"`.'
        )
        self.package, self.extra, self.purpose = package, extra, purpose

    def __reduce__(self):
        return type(self), (self.package, self.extra, self.purpose)


class SkcausalrmWarning(UserWarning):
    """Base of all warnings of this package.

    Parameters
    ----------
    message : str
        What was wrong, where, and what to do.
    code : str, default=""
        Stable name of the message within its class.
    """

    def __init__(self, message: str, code: str = ""):
        super().__init__(message)
        self.code = code

    def __reduce__(self):
        return type(self), (self.args[0], self.code)


class OverlapWarning(SkcausalrmWarning):
    """Poor overlap (code "clipped-propensity" or "effective-sample-size")."""


class FewFeedbackWarning(SkcausalrmWarning):
    """Too few rows of a kind.

    Codes: "rare-class" (fewer than 50 ratings of a class), "fewer-folds" (fewer groups than folds),
    "uneven-folds" (a fold holds over twice its share of the rows), "verified-class" (all verified
    rows are of one class), "verified-stratum" (no verified row among the unrated, the disliked or
    the liked).
    """


class AssumptionWarning(SkcausalrmWarning):
    """An assumption of the method fails, or nothing in the data can support it.

    Codes: "absent-anchors" (no surely good or bad rows), "asked-nonresponse" (over a fifth of the
    asked rows have no answer), "constant-signal" (a signal hardly ever varies),
    "continuous-feedback" (no flips to correct), "habit-reach", "habit-thumbs" and "habit-users"
    (users hardly tell the level: the keenest rate under half of their rows, thumbs do not follow x,
    or the keenest are few), "inverted-feedback" (verified rows rank against the predictions),
    "level-contradicted" (verified rows contradict the level that users and signals tell),
    "log-contradicted" (they contradict what the log says of the systems compared),
    "no-rated-rows" (nothing to learn from), "no-unrated-rows" (no selection to correct),
    "shared-groups" (test groups were trained on).
    """


class BaseRateUncertainWarning(SkcausalrmWarning):
    """The reward ranks, but its level is a guess.

    Codes: "uncertain" (the logs do not identify the base rate), "unreached" (no solution of the
    likelihood comes near the base rate that was given).
    """


class MethodFallbackWarning(SkcausalrmWarning):
    """``method="auto"`` did not use "selection"; the message names what it used, and why."""


class DataLossWarning(SkcausalrmWarning):
    """Part of the input is not used; the message counts it.

    Codes: "import" (rows or scores that were changed or left out), "unused-columns" (columns that
    look like ratings), "unread-parts" (images and other parts of messages without text),
    "torn-label" (lines of a label file that are cut off), "truncated-text" (texts longer than the
    encoder reads), "unmatched-labels" (judged answers that are not in the logs), "unnamed-systems"
    (rows that no system is named for).
    """


class ExportWarning(SkcausalrmWarning):
    """The exported model runs otherwise than asked for.

    Codes: "lossy", "threshold-left-out" and "provider-fallback".
    """
