"""Thanks and complaints in what users write next."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets._next_message import read_reactions

DIALOGS = Path(__file__).parents[3] / "shared/data/real/dbdc3_answers.parquet"
THANKS = [
    "Thanks!",
    "ok thank you so much",
    "Perfect, now make it shorter",
    "Great. Next topic",
    "that\u2019s really helpful",
    "It works! And for lists?",
    "Oh, you're right.",
    "I love this one",
    "Nice work",
    "ty!",
    "Great and now in metres",
]
COMPLAINTS = [
    "Wrong.",
    "That's not what I asked for",
    "that doesn't work",
    "You forgot the second column",
    "still the same error",
    "I asked for three, not two",
    "Try again",
    "TypeError: 'int' object is not iterable",
    "I'm getting an error in line 3",
    "No, the capital is Canberra.",
    "your answer is incomplete",
    "sorry, but this isn't right, thanks anyway",
    "Same answer again",
    "still the same thing",
    "I get no output, only an error",
    "There is an error in it",
]
NEITHER = [
    "How do I say thank you in French?",
    "Good restaurants near the station?",
    "Great Britain's longest river",
    "What is wrong with this sentence?",
    "No problem. And in winter?",
    "no thanks",
    "and for a family of four",
    "Please fix the error handling",
    "Thanks in advance for a list of twelve towns",
    "I see no errors",
    "I got no error",
    "It shows no more syntax errors",
    "There are no errors",
    "same thing in French please",
    "Ty Cobb biography",
    "Good and evil in Macbeth",
]


def read(messages, answer="Fine."):
    return read_reactions(pd.Series(messages, dtype=object), pd.Series([answer] * len(messages)))


def test_thanks_complaints_and_neither():
    for messages, expected in ((THANKS, (1, 0)), (COMPLAINTS, (0, 1)), (NEITHER, (0, 0))):
        for message, *found in zip(messages, *read(messages), strict=True):
            assert tuple(found) == expected, message


def test_no_is_a_complaint_unless_the_answer_asked():
    assert read(["No."], "It is Sydney.")[1] == [1]
    assert read(["No."], 'Shall I go on? "')[1] == [0]


def test_what_cannot_be_read_is_missing():
    thanked, complained = read([None, np.nan, " ", "\u8c22\u8c22", "Спасибо", "merci", 7])
    np.testing.assert_array_equal(np.isnan(thanked), [1, 1, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(np.isnan(complained), np.isnan(thanked))


def test_long_messages_are_pasted_text():
    letter = "Thank you for your letter. " + "It was long. " * 20
    assert [found[0] for found in read([letter])] == [0, 0]


@pytest.mark.skipif(not DIALOGS.exists(), reason="real dialogs are not on this machine")
def test_real_thanks_follow_good_answers_and_complaints_bad_ones():
    """By the votes of thirty people on each answer of four chatbots."""
    answers = pd.read_parquet(DIALOGS).sort_values(["dialog", "turn"])
    said = answers["prompt"].str.extract(r"(?:^|\n)U: ([^\n]*)$")[0]
    following = said.groupby(answers["dialog"]).shift(-1)
    good = answers["n_O"] >= answers[["n_T", "n_X"]].sum(axis=1)
    found = read_reactions(following, answers["response"])
    for happened, likelier in zip(found, (good, ~good), strict=True):
        rate = [np.nanmean(happened[rows]) for rows in (likelier, ~likelier)]
        assert 0.01 < np.nanmean(happened) < 0.05
        assert rate[0] > 1.5 * rate[1]
