"""Names of further signals and how rare they may be, for loaders that need nothing else of them."""

_POSITIVE = ("copy", "copied", "thanks", "thanked", "share", "shared", "dwell")
_NEGATIVE = (
    *("regenerate", "regenerated", "rephrase", "rephrased", "retry", "retried"),
    *("complaint", "complained", "edit", "edited", "abandon", "abandoned"),
)
# Whether a signal speaks for the answer or against it, by its usual name.
DIRECTIONS = {**dict.fromkeys(_POSITIVE, 1.0), **dict.fromkeys(_NEGATIVE, -1.0)}
# Fewest rows in which a signal happened, and in which it did not, for it to be used.
LEAST_ROWS = 10
