"""What each code of `diagnose` is about, and how it relates to the codes of advice and warnings."""

from typing import NamedTuple


class About(NamedTuple):
    """What a code stands for.

    Attributes
    ----------
    title : str
    severity : str
        Of a finding whose check does not say otherwise.
    why, what_to_do : str
    same_as : tuple of str
        Codes of the advice of `selection_report` and of warnings that say the same.
    """

    title: str
    severity: str
    why: str
    what_to_do: str
    same_as: tuple[str, ...] = ()


CATALOGUE = {
    "CRM001": About(
        "poor overlap",
        "moderate",
        "Some kinds of answers hardly ever get feedback, so their reward is carried over from "
        "other kinds.",
        "Ask for feedback on a random share of such answers (asked), or leave them out; "
        "OverlapDisplay shows how many there are.",
        ("clipped-propensity",),
    ),
    "CRM002": About(
        "anchors absent",
        "moderate",
        "Flip rates are read from surely bad and surely good answers. Where there are none, the "
        "rates and all corrected labels are off.",
        "Pass known flip rates, or fit 'selection', which needs no anchors.",
        ("absent-anchors",),
    ),
    "CRM003": About(
        "selection on the preference",
        "serious",
        "People rate because of how they feel about the answer. Only 'selection' corrects that: "
        "raw thumbs and weights by x do not.",
        "Fit 'selection' with verified rows, and do not report the share of liked ratings.",
    ),
    "CRM004": About(
        "small effective sample",
        "moderate",
        "A few heavy rows, or few rows at all, carry the reward, so it moves with each of them.",
        "Raise the clipping threshold, collect feedback where it is rare, or fit 'selection', "
        "which has no weights.",
        ("effective-sample-size",),
    ),
    "CRM005": About(
        "conversations on both sides",
        "serious",
        "Rows of one conversation are alike. Where some are trained on and others scored, scores "
        "are too good.",
        "Pass groups to fit, and score conversations that were not trained on.",
        ("shared-groups",),
    ),
    "CRM006": About(
        "implausible flip rates",
        "moderate",
        "Corrected labels divide by one minus both flip rates: rates that are off move the level "
        "and the spread of all rewards.",
        "Pass known flip rates, or fit 'selection' with verified rows, which tell them.",
    ),
    "CRM007": About(
        "drift",
        "moderate",
        "Answers, users or ratings have changed over time, so one reward and one base rate stand "
        "for different periods.",
        "Look at each period (`skcausalrm evaluate --period`), and fit on the present one.",
    ),
    "CRM008": About(
        "contradicting feedback",
        "moderate",
        "People who rate the same answer agree hardly more often than about different answers, so "
        "feedback says little of the answer itself.",
        "Check what the buttons are used for, and encode the prompt with the answer; verified rows "
        "show what feedback is worth.",
    ),
    "CRM009": About(
        "one user dominates",
        "moderate",
        "The reward speaks of the taste of a few people, and errors by row are too small.",
        "Pass users, which clusters errors; weigh the user's rows down by sample_weight, or leave "
        "an account out that is no person.",
    ),
    "CRM010": About(
        "unequal folds",
        "moderate",
        "A conversation must not be split, so one fold holds most rows and what is called out of "
        "fold was hardly trained.",
        "Check that groups are conversations or prompts, and not a constant, a day or an "
        "application.",
        ("uneven-folds", "fewer-folds"),
    ),
    "CRM011": About(
        "ranking not proven",
        "serious",
        "Out of fold, the reward may rank no better than chance, or than a plain classifier on raw "
        "thumbs.",
        "Collect more ratings, or verify rows with `skcausalrm label` and compare on them.",
        ("ranking-contradicted", "ranking-unproven", "ranking-below-naive"),
    ),
    "CRM012": About(
        "answers shortened",
        "moderate",
        "The encoder has read a part of these answers only, so the reward does not know the rest.",
        "Choose an encoder that reads more, raise max_length, or encode prompt and answer apart.",
        ("truncated-text",),
    ),
    "CRM013": About(
        "level open",
        "serious",
        "The reward ranks, but the log does not say how many answers are good: any share or "
        "threshold by it is a guess.",
        "Check about 50 rows with `skcausalrm label` and pass them as verified.",
        ("level-open", "uncertain"),
    ),
    "CRM014": About(
        "judge no better than chance",
        "moderate",
        "The judge's scores do not tell good answers from bad ones, so what rests on them says "
        "nothing.",
        "Improve its prompt, use another judge, or turn its scores round if they are reversed.",
        ("judge-chance", "judge-reversed"),
    ),
    "CRM015": About(
        "level contradicted",
        "serious",
        "A careful person finds more or fewer good answers than the reward says, so an assumption "
        "on which its level rests fails.",
        "Trust the verified rows: fit 'selection' with them, and without users and signals if "
        "these told the level.",
        ("level-contradicted",),
    ),
    "CRM016": About(
        "level unchecked",
        "note",
        "The level rests on the form of the likelihood alone, which nobody has checked.",
        "Check about 50 rows with `skcausalrm label` before you rely on shares or thresholds.",
        ("level-unchecked",),
    ),
    "CRM017": About(
        "few ratings of a class",
        "serious",
        "With so few likes or dislikes a reward is little more than a guess.",
        "Collect more ratings of the rarer class; copies or regenerations as signals help.",
        ("rare-class",),
    ),
    "CRM018": About(
        "thumbs no better than chance",
        "serious",
        "Good answers are liked no more often than bad ones among those that a careful person has "
        "judged, so thumbs cannot teach a reward.",
        "Check that likes are 1 and dislikes 0, and that both mean the quality of the answer.",
    ),
}

# Other codes of advice and warnings, and why no finding repeats them.
APART = {
    "ranking-reliable": "CRM011 is clear",
    "level-reliable": "CRM013 and CRM016 are clear",
    **dict.fromkeys(
        ("habit-reach", "habit-thumbs", "habit-users", "constant-signal"),
        "a source of the level says little: CRM013 and CRM016 say whether another one does",
    ),
    "asked-nonresponse": "the fit has warned of asked, which is to be left out",
    "continuous-feedback": "checks of flips and of the level are then not checked",
    "inverted-feedback": "CRM011 compares verified rows with the ranking by its AUROC",
    "log-contradicted": "about the systems of a comparison",
    "no-rated-rows": "nothing is fitted",
    "no-unrated-rows": "CRM001 and CRM003 are then not checked",
    "verified-class": "the fit has warned of the verified rows, of which more are needed",
    "verified-stratum": "the fit has warned of the verified rows, of which others are needed",
    "unreached": "about a base rate that was given",
    **dict.fromkeys(
        ("import", "unused-columns", "unread-parts", "torn-label", "unmatched-labels"),
        "about files, before there is a log",
    ),
    "unnamed-systems": "about the systems of a comparison",
    "lossy": "about an exported file",
    "threshold-left-out": "about an exported file",
    "provider-fallback": "about an exported file",
}


def page_of(code: str) -> str:
    """Return the section of the documentation on a code."""
    return f"guide/findings.html#{code.lower()}"
