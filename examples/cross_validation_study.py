"""
Which debiasing method should I use?
====================================

Tune and compare several methods on debiased scores, which need no clean label, in plain
scikit-learn. The log is generated, so the last column can show the scores on clean labels. Takes
two minutes on two cores and needs ``skcausalrm[text]``.
"""

# %%
import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, GroupShuffleSplit, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import CausalRewardRegressor
from skcausalrm.baselines import DR, CoTeaching, Naive
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.heads import MLPHead
from skcausalrm.metrics import make_debiased_scorer, pseudo_outcomes

warnings.simplefilter("ignore")  # the estimators' warnings; read them on a log of your own
log = make_observational_feedback(
    8000, 32, selection="both", base_rate=0.6, n_groups=1600, random_state=0
)
X, y, groups = log.X, pd.Series(log.y), log.groups
learn, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=0).split(X, groups=groups))

# One z for all candidates, from logs alone; test rows do not help to choose.
z = pseudo_outcomes(
    X[learn], y.iloc[learn], method="selection", groups=groups[learn], random_state=0
)
z = pd.Series(z, index=learn)
scoring = {name: make_debiased_scorer(name, pseudo_outcomes=z) for name in ("r2", "roc_auc")}

head = MLPHead((32,), learning_rate=3e-3, max_epochs=40)
rates = {"reward__head": [head, MLPHead((32,), learning_rate=1e-3, max_epochs=40)]}
recipes = {"reward__method": ["naive", "ips", "dr", "selection"]}
candidates = {
    "Naive": (Naive(head, random_state=0), rates),
    "DR": (DR(head, random_state=0), rates),
    "CoTeaching": (CoTeaching(head, random_state=0), rates),
    "CausalRewardRegressor": (CausalRewardRegressor(random_state=0), recipes),
}
table = {}
for name, (model, grid) in candidates.items():
    pipe = Pipeline([("scale", StandardScaler()), ("reward", model)])
    search = GridSearchCV(pipe, grid, scoring=scoring, refit="roc_auc", cv=GroupKFold(3))
    search.fit(X[learn], y.iloc[learn], groups=groups[learn], reward__groups=groups[learn])
    found = cross_validate(
        search.best_estimator_, X[learn], y.iloc[learn], groups=groups[learn], scoring=scoring,
        cv=GroupKFold(5), params={"reward__groups": groups[learn]},
    )  # fmt: skip
    scores = {key: found[f"test_{key}"] for key in scoring}
    row = {key: f"{values.mean():.3f} ± {values.std():.3f}" for key, values in scores.items()}
    p = search.predict(X[test])
    row["roc_auc, clean labels"] = round(roc_auc_score(log.reward[test], p), 3)
    table[name] = row | {"fit, s": np.median(found["fit_time"]).round(1)}
print(pd.DataFrame(table).T.to_string())
