"""What evaluate takes over from the fit, and what overrides it."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skcausalrm import CausalRewardRegressor
from skcausalrm.cli._logs import FeedbackLog
from skcausalrm.cli._pseudo_outcomes import by_selection, learnt_at_fit
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.metrics import debiased_mse, debiased_r2_score

REPORT = {
    "false_positive_rate": 0.1,
    "false_positive_rate_std": 0.04,
    "false_negative_rate": 0.2,
    "false_negative_rate_std": None,
    "selection": {"base_rate_std": 0.4},
}


def feedback_log(y, **columns):
    return FeedbackLog(pd.DataFrame(), np.asarray(y, float), np.arange(len(y)), columns)


def test_level_and_flips_with_their_drift():
    learnt = learnt_at_fit(REPORT, feedback_log(np.full(4, np.nan)), np.array([0.2, 0.4]))
    assert learnt == {
        "false_positive_rate": pytest.approx((0.1, 0.05)),
        "base_rate": pytest.approx((0.3, 0.5)),
    }


def test_labels_of_the_log_override_the_level():
    y, labels = np.full(100, np.nan), np.where(np.arange(100) < 40, 1.0, np.nan)
    y[:40] = 1
    for log in (feedback_log(y, verified=labels), feedback_log(y, asked=~np.isnan(labels))):
        assert set(learnt_at_fit(REPORT, log, y)) == {"false_positive_rate"}
    few = feedback_log(y, verified=np.where(np.arange(100) < 20, 1.0, np.nan))
    assert "base_rate" in learnt_at_fit(REPORT, few, np.full(100, 0.5))


def test_a_model_without_a_report_knows_nothing():
    assert learnt_at_fit({}, feedback_log([1, 0]), np.zeros(2)) == {}


def test_a_later_log_is_graded_by_what_labels_settled_at_fit():
    """Without, the likelihood alone is off the level by .2 and more on this log."""
    log = make_observational_feedback(
        8000, 16, selection="reward", selection_strength=0.1, base_rate=0.3, n_verified=300,
        random_state=0,
    )  # fmt: skip
    fitted, later = slice(4000), slice(4000, None)
    X, y, r = log.X[later], log.y[later], log.reward[later]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = CausalRewardRegressor("selection", random_state=0)
        model.fit(log.X[fitted], log.y[fitted], verified=log.verified[fitted])
        selection = model.nuisances_.selection_model
        report = {
            name: getattr(selection, f"{name}_")
            for rate in ("false_positive_rate", "false_negative_rate")
            for name in (rate, f"{rate}_std")
        }
        report["selection"] = {"base_rate_std": selection.base_rate_std_}
        f = model.predict(X)
        learnt = learnt_at_fit(report, feedback_log(y), f)
        off, stds = {}, {}
        for name, known in (("forgets", {}), ("learnt", learnt)):
            base_rate = known.pop("base_rate", None)
            rates = {
                rate: known.get(rate) for rate in ("false_positive_rate", "false_negative_rate")
            }
            z, *_ = by_selection(X, feedback_log(y), rates, 0, base_rate)
            reward, std = debiased_mse(z, np.zeros(len(r)), return_std=True)
            score, score_std = debiased_r2_score(z, f, return_std=True)
            off[name], stds[name] = abs(reward - r.mean()), std
            assert abs(score - debiased_r2_score(r, f)) < 2 * score_std
    assert off["forgets"] > 0.15
    assert off["learnt"] < min(0.6 * off["forgets"], 2 * stds["learnt"])
    # Parts of the log are told apart, which the posterior of each row shrinks.
    good = f > np.quantile(f, 0.67)
    gap = z[good].mean() - z[~good].mean()
    assert gap == pytest.approx(r[good].mean() - r[~good].mean(), abs=0.1)
