"""method="auto": its choice; and the report on the selection likelihood."""

import json
import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, SelectionModel
from skcausalrm import exceptions as ex
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.metrics._estimate import Estimate
from skcausalrm.reward import selection_report
from skcausalrm.reward._advice import Evidence, advice, advice_codes


def estimate(score, std):
    return Estimate(score, std, score - 1.645 * std, score + 1.645 * std)


GOOD, LEVEL = estimate(0.7, 0.02), estimate(0.0, 0.001)
quiet = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        4000, 8, observed_rate=0.4, n_asked=300, n_verified=150, random_state=0
    )


def fitted(log, method="auto", y=None, columns=(), **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        return CausalRewardRegressor(method, random_state=0, **kwargs).fit(
            log.X, log.y if y is None else y, **{name: log[name] for name in columns}
        )


def report_on(model, log, y=None, columns=()):
    given = {name: log[name] for name in columns}
    return selection_report(model, log.X, log.y if y is None else y, **given)


RICH = ("asked", "verified")


@pytest.fixture(scope="module")
def fits(log):
    """Models of `auto` by the columns that they were given, and the warnings of the fits."""
    found = {}
    for columns in ((), ("verified",), RICH):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = CausalRewardRegressor(random_state=0)
            model.fit(log.X, log.y, **{name: log[name] for name in columns})
        found[columns] = model, [w.category for w in caught]
    return found


@pytest.fixture(scope="module")
def reports(log, fits):
    return {columns: report_on(model, log, columns=columns) for columns, (model, _) in fits.items()}


@pytest.fixture(scope="module")
def plain(fits):
    return fits[()][0]


@pytest.fixture(scope="module")
def checked(fits):
    return fits["verified",][0]


@pytest.fixture(scope="module")
def rich(fits):
    return fits[RICH][0]


@pytest.fixture(scope="module")
def plain_report(reports):
    return reports[()]


@pytest.fixture(scope="module")
def rich_report(reports):
    return reports[RICH]


@pytest.fixture(scope="module")
def with_ridge(log):
    return fitted(log, "selection", estimator=Ridge(), columns=("verified",))


class TestChoice:
    def test_joint_where_it_can_be_had(self, log, plain):
        assert plain.method_ == "selection"
        assert isinstance(plain.nuisances_.selection_model, SelectionModel)
        named = fitted(log, "selection")
        np.testing.assert_array_equal(named.predict(log.X), plain.predict(log.X))

    def test_no_fallback_no_warning(self, fits):
        model, caught = fits["verified",]
        assert model.method_ == "selection"
        assert ex.MethodFallbackWarning not in caught

    @quiet
    @pytest.mark.parametrize(
        ("case", "method", "reason"),
        [
            ("continuous", "dr", "the feedback is not 0/1"),
            ("few", "dr", "only 29 rated rows are of one class"),
            ("few liked", "dr", "only 29 rated rows are of one class"),
            ("complete", "noise", "all 4000 rows are rated"),
        ],
    )
    def test_other_logs(self, log, case, method, reason):
        y = log.y.copy()
        if case == "continuous":
            y = np.where(np.isnan(y), np.nan, log.probability)
        elif case == "few":
            y[np.flatnonzero(y == 0)[29:]] = np.nan
        elif case == "few liked":
            y[np.flatnonzero(y == 1)[29:]] = np.nan
        else:
            y = np.where(np.isnan(y), log.reward, y)
        with pytest.warns(ex.MethodFallbackWarning, match=f"used '{method}', because {reason}"):
            model = CausalRewardRegressor(random_state=0).fit(log.X, y)
        assert model.method_ == method
        assert model.nuisances_.selection_model is None
        expected = fitted(log, method, y)
        np.testing.assert_array_equal(model.predict(log.X), expected.predict(log.X))

    @quiet
    def test_a_column_that_only_dr_uses(self, log):
        with pytest.warns(ex.MethodFallbackWarning, match="'selection' cannot use propensity"):
            model = CausalRewardRegressor(random_state=0).fit(
                log.X, log.y, propensity=log.propensity
            )
        assert model.method_ == "dr"

    @quiet
    def test_a_judge_next_to_a_method_that_reads_none_is_named(self, log):
        y = np.where(np.isnan(log.y), log.reward, log.y)
        with pytest.warns(ex.MethodFallbackWarning, match="and judge_score were not used"):
            model = CausalRewardRegressor(random_state=0).fit(log.X, y, judge_score=log.probability)
        assert model.method_ == "noise"

    def test_a_selection_model_is_used_with_its_parameters(self, log):
        model = fitted(log, SelectionModel(base_rate=0.3))
        assert model.method_ == "selection"
        assert model.nuisances_.selection_model.base_rate_ == pytest.approx(0.3, abs=0.02)
        assert model.predict(log.X).mean() == pytest.approx(0.3, abs=0.03)
        with pytest.raises(ex.FeedbackError, match="binarise"):
            fitted(log, "selection", np.where(np.isnan(log.y), np.nan, log.probability))

    def test_a_selection_model_is_used_on_a_complete_log_too(self, log):
        complete = np.where(np.isnan(log.y), log.reward, log.y)
        with pytest.warns(ex.AssumptionWarning):
            model = CausalRewardRegressor(SelectionModel(base_rate=0.4), random_state=0).fit(
                log.X, complete
            )
        assert model.method_ == "selection"
        with pytest.raises(ex.FeedbackError, match="binarise"):
            fitted(log, SelectionModel(), y=log.probability)

    def test_few_of_a_class_is_a_warning_where_joint_is_named(self, log):
        y = log.y.copy()
        y[np.flatnonzero(y == 0)[29:]] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ex.BaseRateUncertainWarning)
            with pytest.warns(ex.FewFeedbackWarning, match="Only 29"):
                model = CausalRewardRegressor("selection", random_state=0).fit(log.X, y)
        assert model.method_ == "selection"


class TestReport:
    KEYS = frozenset(
        {
            "advice",
            "advice_codes",
            "ranking",
            "base_rate",
            "base_rate_interval",
            "base_rate_std",
            "base_rate_doubt",
            "selection_log_odds",
            "selection_log_odds_std",
            "false_positive_rate",
            "false_negative_rate",
            "link_weights",
            "level_source",
            "level_told_by",
            "instrument_reach",
            "signal_log_odds",
            "n_verified",
            "n_asked",
            "recipes",
        }
    )
    RECIPES = ("naive", "noise", "snips", "dr", "selection")
    FACTS = frozenset(
        {"base_rate", "false_positive_rate", "false_negative_rate", "effective_sample_size"}
    )

    @staticmethod
    def scores(kind):
        names = {f"{kind}_r2", f"{kind}_roc_auc"}
        return names | {f"{name}_std" for name in names}

    def test_keys_and_finite_numbers(self, plain_report, rich_report):
        kinds_of_rich = ["debiased", "asked", "verified"]
        for report, kinds in ((plain_report, ["debiased"]), (rich_report, kinds_of_rich)):
            assert set(report) == self.KEYS
            assert tuple(report["recipes"]) == self.RECIPES
            expected = set(self.FACTS).union(*(self.scores(kind) for kind in kinds))
            for found in report["recipes"].values():
                assert set(found) == expected
                assert np.isfinite(list(found.values())).all()
                assert all(found[name] > 0 for name in found if name.endswith("_std"))
            json.dumps(report)  # plain numbers throughout

    def test_says_what_the_models_found(self, log, rich, rich_report):
        report, selection = rich_report, rich.nuisances_.selection_model
        assert report["base_rate"] == selection.base_rate_
        assert report["base_rate_interval"] == selection.base_rate_interval_
        assert report["n_verified"] == 150
        assert report["n_asked"] == 300
        recipes = report["recipes"]
        assert recipes["selection"]["base_rate"] == pytest.approx(selection.oof_probability_.mean())
        assert recipes["selection"]["false_positive_rate"] == selection.false_positive_rate_
        assert recipes["naive"]["false_positive_rate"] == 0
        rated = np.count_nonzero(~np.isnan(log.y))
        assert recipes["naive"]["effective_sample_size"] == pytest.approx(rated)
        assert recipes["snips"]["effective_sample_size"] < rated

    def test_no_rows_were_checked_or_asked(self, plain_report):
        assert (plain_report["n_verified"], plain_report["n_asked"]) == (0, 0)

    def test_base_rates_are_weighted(self, log):
        rows = slice(1200)
        weight = np.where(log.probability[rows] > 0.6, 2.0, 0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ex.SkcausalrmWarning)
            model = CausalRewardRegressor("selection", random_state=0)
            model.fit(log.X[rows], log.y[rows], sample_weight=weight)
            found = selection_report(model, log.X[rows], log.y[rows], sample_weight=weight)
        p = model.nuisances_.selection_model.oof_probability_
        assert found["recipes"]["selection"]["base_rate"] == pytest.approx(weight @ p / sum(weight))

    def test_each_recipe_says_what_it_would_have_said_itself(self, log, plain_report):
        for name in ("naive", "dr"):
            found = plain_report["recipes"][name]
            own = fitted(log, name)
            assert found["base_rate"] == pytest.approx(own.predict(log.X).mean(), abs=0.02)
            assert found["effective_sample_size"] == pytest.approx(own.effective_sample_size_)

    def test_scores_are_near_the_truth(self, log, rich, rich_report):
        """AUROC on checked rows, out of fold, against that on all true rewards."""
        from sklearn.metrics import roc_auc_score

        found = rich_report["recipes"]["selection"]
        truth = roc_auc_score(log.reward, rich.nuisances_.selection_model.oof_probability_)
        for kind in ("verified", "asked"):
            gap = abs(found[f"{kind}_roc_auc"] - truth)
            assert gap < 3.5 * found[f"{kind}_roc_auc_std"]

    def test_a_recipe_that_fails_says_why(self, log):
        clicks = np.where(log.y == 1, 1.0, np.nan)
        model = fitted(log, y=clicks, columns=("verified",))
        assert model.method_ == "selection"
        recipes = report_on(model, log, clicks, ("verified",))["recipes"]
        assert set(recipes["dr"]) == {"error"}
        assert "one class" in recipes["dr"]["error"]
        assert np.isfinite(recipes["selection"]["debiased_roc_auc"])

    def test_ranking_holds_the_truth(self, log, rich, rich_report):
        from sklearn.metrics import roc_auc_score

        selection = rich.nuisances_.selection_model
        ours = roc_auc_score(log.reward, selection.oof_probability_)
        naive = roc_auc_score(log.reward, selection.oof_linear_predictors_[:, 0])
        ranking = rich_report["ranking"]
        for kind, truth in (("posterior", ours), ("verified", ours), ("over_naive", ours - naive)):
            low, high = ranking[kind]["interval"]
            assert low < ranking[kind]["score"] < high
            assert low - 0.01 < truth < high + 0.01
        assert 0.5 < ranking["rated"]["score"] < ours  # flips pull it down

    def test_only_on_the_log_and_method_that_it_is_about(self, log, plain):
        with pytest.raises(ex.InvalidInputError, match="fitted on 4000"):
            selection_report(plain, log.X[:100], log.y[:100])
        with pytest.raises(ex.UnusedParameterError, match="method='selection'"):
            report_on(fitted(log, "naive"), log)

    def test_a_classifiers_report_is_the_regressors(self, log, plain_report):
        names = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ex.SkcausalrmWarning)
            model = CausalRewardClassifier(random_state=0).fit(log.X, names)
        assert selection_report(model, log.X, names)["recipes"] == plain_report["recipes"]

    def test_users_widen_the_standard_errors_of_what_they_share(self, log, plain, plain_report):
        users = 2 * (log.probability > np.median(log.probability)) + np.arange(4000) % 2
        found = selection_report(plain, log.X, log.y, users=users)["recipes"]["naive"]
        plain_found = plain_report["recipes"]["naive"]
        assert found["debiased_r2"] == plain_found["debiased_r2"]
        assert found["debiased_r2_std"] > plain_found["debiased_r2_std"]

    @pytest.mark.parametrize("columns", [(), ("verified",)])
    def test_only_an_open_level_is_warned_of(self, fits, reports, columns):
        """Not what the report's other recipes, whose rewards nobody gets, would warn of."""
        is_open = reports[columns]["base_rate_doubt"] > 0.05
        assert is_open == (not columns)
        assert fits[columns][1] == [ex.BaseRateUncertainWarning] * is_open


def advised(log, y=None, columns=(), **given):
    """Return codes and advice of a fit, columns being those of the log or given."""
    given |= {name: log[name] for name in columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        model = CausalRewardRegressor("selection", random_state=0)
        model.fit(log.X, log.y if y is None else y, **given)
        report = selection_report(model, log.X, log.y if y is None else y, **given)
    return report["advice_codes"], report["advice"]


class TestAdvice:
    """Each code on a log that deserves it."""

    def test_reliable_ranking_and_open_level(self, plain_report):
        assert plain_report["advice_codes"] == ["ranking-reliable", "level-open"]
        assert plain_report["advice"].startswith("The ranking is reliable: its AUROC is 0.")
        assert "check about 50 rows with `skcausalrm label`" in plain_report["advice"]

    @pytest.mark.parametrize("columns", [("verified",), RICH])
    def test_verified_rows_settle_the_level(self, reports, columns):
        report = reports[columns]
        assert report["advice_codes"] == ["ranking-reliable", "level-reliable"]
        assert "The level is reliable: the share of good answers is between" in report["advice"]

    def test_few_asked_rows_leave_a_doubt(self):
        log = make_observational_feedback(4000, 8, observed_rate=0.4, n_asked=60, random_state=0)
        codes, sentences = advised(log, columns=("asked",))
        assert codes == ["ranking-reliable", "level-open"]
        assert "The level is reliable" not in sentences

    def test_a_level_by_the_likelihood_alone(self, log):
        known = Evidence(GOOD, GOOD, None, LEVEL, False, (), 0, (0.4, 0.5))
        assert advice_codes(known) == ["ranking-reliable", "level-unchecked"]
        assert advice(["level-unchecked"], known).startswith("No checked or asked row has a say")

    def test_feedback_that_is_noise_proves_no_ranking(self, log):
        """However many ratings there are."""
        rng = np.random.default_rng(0)
        noise = np.where(np.isnan(log.y), np.nan, rng.integers(0, 2, len(log.y)))
        codes, sentences = advised(log, noise)
        assert codes[0] == "ranking-unproven"
        assert "one half is chance" in sentences

    def test_few_ratings_of_a_clear_signal_prove_one(self):
        log = make_observational_feedback(
            900, 4, signal="strong", selection="none", observed_rate=0.3, random_state=0
        )
        assert np.isfinite(log.y).sum() < 300
        assert advised(log)[0][0] == "ranking-reliable"

    @pytest.mark.parametrize("n_verified", [50, 150])
    def test_verified_rows_that_disagree(self, log, n_verified):
        """A few find out the ranking, many turn it round against the feedback."""
        some = np.cumsum(~np.isnan(log.verified)) <= n_verified
        codes, sentences = advised(log, verified=np.where(some, 1 - log.verified, np.nan))
        assert codes[0] == "ranking-contradicted"
        assert "on verified rows" in sentences

    def test_perhaps_worse_than_naive(self):
        evidence = Evidence(GOOD, GOOD, None, estimate(0.0, 0.04), True, (), 0, (0.1, 0.9))
        assert advice_codes(evidence) == ["ranking-below-naive", "level-open"]
        assert "-0.07 to +0.07 over naive's" in advice(advice_codes(evidence), evidence)

    def test_feedback_of_one_class_is_judged_by_other_rows(self):
        verified = Evidence(GOOD, None, GOOD, LEVEL, False, ("verified",), 100, (0.4, 0.5))
        assert advice_codes(verified)[0] == "ranking-reliable"
        nothing = Evidence(GOOD, None, None, LEVEL, False, ("asked",), 0, (0.4, 0.5))
        assert advice_codes(nothing)[0] == "ranking-unproven"
        assert "feedback itself" not in advice(["ranking-unproven"], nothing)


class TestStd:
    @pytest.mark.parametrize("method", ["selection", "dr", "snips", "naive"])
    def test_of_one_prediction(self, log, plain, method):
        model = plain if method == plain.method_ else fitted(log, method)
        reward, std = model.predict(log.X, return_std=True)
        np.testing.assert_array_equal(reward, model.predict(log.X))
        assert std.shape == reward.shape
        assert (std >= 0).all()
        assert np.isfinite(std).all()
        assert 0.001 < std.mean() < 0.3

    def test_checked_rows_narrow_it_where_the_level_was_open(self, log, plain, checked):
        assert plain.predict(log.X, True)[1].mean() > 1.5 * checked.predict(log.X, True)[1].mean()

    def test_recalibration_carries_it_over(self, log, checked):
        model = checked
        before, std = model.estimator_.predict(log.X, return_std=True)
        expected = std * model.recalibration_.derivative(before)
        np.testing.assert_allclose(model.predict(log.X, return_std=True)[1], expected)

    def test_a_head_of_ones_own_is_one_model(self, log, with_ridge):
        with pytest.raises(ex.UnusedParameterError, match="a Ridge is one model"):
            with_ridge.predict(log.X, return_std=True)


def test_a_head_of_ones_own_learns_the_posterior(log, with_ridge):
    model = with_ridge
    np.testing.assert_array_equal(model.target_, model.nuisances_.selection_model.oof_posterior_)
    assert (model.weight_ == 1).all()
    assert model.recalibration_ is None  # the target has it
    np.testing.assert_allclose(
        model.predict(log.X), np.clip(Ridge().fit(log.X, model.target_).predict(log.X), 0, 1)
    )
    assert np.corrcoef(model.predict(log.X), log.probability)[0, 1] > 0.8


@quiet
def test_answers_too_few_to_score_do_not_cost_the_verified_scores(log):
    asked = np.zeros(len(log.y), bool)
    asked[np.flatnonzero(log.y == 1)[:20]] = True  # all liked: no score of them
    model = CausalRewardRegressor(random_state=0)
    model.fit(log.X, log.y, asked=asked, verified=log.verified)
    found = selection_report(model, log.X, log.y, asked=asked, verified=log.verified)
    found = found["recipes"]["selection"]
    assert "asked_roc_auc" not in found
    assert {"verified_r2", "verified_roc_auc"} <= set(found)
