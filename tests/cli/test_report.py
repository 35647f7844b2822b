"""The HTML page of `report`: what it holds, that no text of a log is markup, and what logs lack."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from skcausalrm import CausalRewardRegressor
from skcausalrm.cli import _report_parts, _report_pictures
from skcausalrm.cli._logs import FeedbackLog
from skcausalrm.cli._report_page import render_page
from skcausalrm.cli._sources import Sources
from skcausalrm.cli.report import gather
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import FeedbackError, InvalidInputError, MissingExtraError

for package in ("jinja2", "matplotlib", "onnx", "onnxruntime"):
    pytest.importorskip(package)
pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(2)</script>",
    "\"'><img src=x onerror=alert(3)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil \u0645\u0631\u062d\u0628\u0627 \x00\x1b[2J",
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "details"),
    *("summary", "h1", "h2", "h3", "h4", "p", "bdi", "strong", "div", "span", "ul", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle"),
    *("figure", "picture", "source", "img", "figcaption"),
}


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def check_safe(text):
    """Return the parsed page, in which nothing runs or loads and every tag is the template's."""
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= TAGS
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "data:image/png;base64,").startswith("data:image/png"), tag
    css = re.search("<style>(.*?)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy
    return page


@pytest.fixture(scope="module")
def made(workspace, with_small_encoder, run, tmp_path_factory):
    """A page on a log whose texts and systems are hostile, by the command line."""
    folder = tmp_path_factory.mktemp("report")
    frame = pd.read_json(workspace.held_out, lines=True)
    frame = frame[["prompt", "completion", "feedback", "user", "model"]]  # one fit, for time
    places = np.arange(len(frame)) % len(HOSTILE)
    frame = frame.assign(model=[HOSTILE[k % 2] for k in range(len(frame))])
    frame["prompt"] = [
        f"{HOSTILE[k]} {text}" for k, text in zip(places, frame["prompt"], strict=True)
    ]
    frame["completion"] = [
        f"{text} {HOSTILE[k]}" for k, text in zip(places, frame["completion"], strict=True)
    ]
    frame.to_json(folder / "log.jsonl", orient="records", lines=True, date_format="iso")
    arguments = ["report", workspace.model, folder / "log.jsonl", "--out", folder / "page.html"]
    with pytest.MonkeyPatch.context() as patch, with_small_encoder():
        patch.setattr(_report_parts, "_LOG_ODDS", (0.0,))
        patch.setattr(_report_pictures, "_DPI", 30)
        result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return folder / "page.html", json.loads(result.stdout), arguments


def test_texts_of_a_log_are_never_markup(made):
    text = made[0].read_text("utf-8")
    page = check_safe(text)
    assert HOSTILE[0] in page.text
    assert "onerror" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\x00" not in text
    assert "\x1b" not in text
    assert all(a.get("dir") == "auto" for t, a in page.tags if a.get("class") == "text")


def test_the_page_has_its_parts_in_order(made):
    path, facts, _ = made
    titles = re.findall("<h2>(.*?)</h2>", path.read_text("utf-8"))
    assert titles == [
        *("The answer", "Findings", "Pictures", "Where naive and corrected differ most"),
        *("Assumptions", "Versions"),
    ]
    assert facts["bytes"] == path.stat().st_size
    assert {row["name"] for row in facts["answer"]["systems"]} == set(HOSTILE[:2])
    assert {"Base rate", "Overlap", "Flips"} <= set(facts["pictures"])
    assert facts["findings"]["not_checked"]["CRM005"]
    page = Page(path.read_text("utf-8"))
    assert len([t for t, _ in page.tags if t == "img"]) == len(facts["pictures"])


def test_an_existing_page_is_kept(made, run):
    result = run(*made[2])
    assert result.exit_code == 2
    assert "pass --overwrite" in result.stderr
    result = run(*made[2], "--overwrite", "--by", "nothing")
    assert result.exit_code == 2
    assert "--by names nothing" in result.stderr


def test_jinja_is_an_extra(made, run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    result = run(*made[2], "--overwrite")
    assert result.exit_code == 2
    assert 'pip install "skcausalrm[report]"' in result.stderr
    assert issubclass(MissingExtraError, ImportError)


@pytest.fixture(scope="module")
def small():
    """A log of 300 rows with columns, and what stands for a model directory."""
    log = make_observational_feedback(300, 4, n_groups=75, observed_rate=0.5, random_state=0)
    reward = CausalRewardRegressor("naive", random_state=0).fit(log.X, log.y, groups=log.groups)

    class Model:
        scorer = reward
        report = None
        config = {"method": "naive", "head": {"kind": "ridge"}}  # noqa: RUF012

    frame = pd.DataFrame(
        {
            "prompt": [f"prompt {group}" for group in log.groups],
            "completion": [f"answer {row}" for row in range(300)],
            "feedback": log.y,
            "group": log.groups,
        }
    )
    return Model, log.X, frame


def page_of(small, y, monkeypatch):
    monkeypatch.setattr(
        _report_parts, "find_pictures", lambda *given: {"shown": [], "left_out": []}
    )
    model, X, frame = small
    frame = frame.assign(feedback=y)
    frame.attrs["load_feedback"] = {"format": "plain", "left_out": {}}
    log = FeedbackLog(frame, y, frame["group"].to_numpy(), {}, Sources())
    parts, facts = gather(model, X, log, None, 0, ["a <b>.jsonl"], 0)
    return check_safe(render_page({"title": "t", **parts}).decode()), facts


def test_without_users_conversations_systems_and_unrated_rows(small, monkeypatch):
    y = small[2]["feedback"].to_numpy()
    page, facts = page_of(small, np.where(np.isnan(y), 0.0, y), monkeypatch)
    assert facts["findings"]["not_checked"]["CRM001"] == "every row is rated."
    assert facts["answer"]["systems"] == []
    assert "of the answers are good" in facts["answer"]["headline"]
    assert "a <b>.jsonl" in page.text


def test_feedback_of_one_kind_is_reported_as_such(small, monkeypatch):
    y = small[2]["feedback"].to_numpy()
    page, facts = page_of(small, np.where(y == 0, np.nan, y), monkeypatch)
    assert facts["answer"]["headline"].startswith("100% of")
    assert "No share of good answers is estimated" in page.text
    assert "All ratings are alike" in page.text


def test_nothing_rated_is_an_error(small, monkeypatch):
    with pytest.raises(InvalidInputError, match="None of the 300 rows is rated"):
        page_of(small, np.full(300, np.nan), monkeypatch)


def test_a_long_text_is_cut_and_says_so():
    text = _report_parts._shorten("x" * 2000)
    assert text.endswith("(500 more characters)")
    assert len(text) < 1600


@pytest.mark.parametrize("systems", [None, pd.Series(["a", "b"] * 2)])
def test_labels_of_a_top_up_count_by_their_probability(systems, monkeypatch):
    chance = [1.0, 0.5, 0.5, 1.0]
    frame = pd.DataFrame({"verified_propensity": chance})
    columns = {"verified": np.array([1.0, 0.0, np.nan, 1.0])}
    log = FeedbackLog(frame, np.array([1.0, 0.0, 1.0, np.nan]), np.arange(4), columns, Sources())
    given = []

    def record(*_, **keywords):
        given.append(keywords.get("verified_propensity"))
        raise FeedbackError("none")

    monkeypatch.setattr(_report_parts, "mean_reward" if systems is None else "compare", record)
    for uses_verified in (False, True):
        refit = SimpleNamespace(selection=object(), uses_verified=uses_verified)
        _report_parts.find_answer(refit, np.zeros((4, 1)), log, systems)
    assert given[0].tolist() == chance
    assert given[1] is None  # their labels are in the model, so none is passed
