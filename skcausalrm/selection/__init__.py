"""The selection likelihood: who rates depends on the answer and on the preference itself.

`SelectionModel` puts the steps together: linear predictors, counts on a grid, a graded likelihood,
its average over the base rates that the log allows, and the posterior of each row.
"""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"SelectionModel": "._model"})
