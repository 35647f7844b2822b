"""The page on which reviewers judge: access, verdicts, and strangers' texts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from fastapi.testclient import TestClient

from skcausalrm.cli._label_desk import Desk
from skcausalrm.cli._server import loopback_names
from skcausalrm.datasets._labels import (
    answer_keys,
    draw_answers,
    read_judgements,
    read_labels,
)
from skcausalrm.exceptions import DataLossWarning
from skcausalrm.serving import _label_app
from skcausalrm.serving._label_app import create_label_app

TOKEN = "the-token"
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


def log(n=12):
    rows = [{"prompt": f"Question {k}?", "completion": f"Answer {k}."} for k in range(n)]
    rows[3] = {"prompt": HOSTILE, "completion": HOSTILE}
    return pd.DataFrame(rows).assign(feedback=[1.0, 0.0, None] * (n // 3))


def desk_on(path, n=8, twice=0.0, frame=None):
    frame = log() if frame is None else frame
    labels = read_labels(path, missing_ok=True)
    judgements = read_judgements(path, missing_ok=True)
    return Desk(frame, path, n, draw_answers(frame, labels), judgements, twice=twice)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.jsonl"


def client_of(desk, hosts=("testserver",)):
    return TestClient(create_label_app(desk, TOKEN, hosts), raise_server_exceptions=False)


def ask(client, route, reviewer="Anna", **more):
    reply = client.post(
        f"/{route}", json={"reviewer": reviewer, **more}, headers={"X-Token": TOKEN}
    )
    assert reply.status_code == 200, reply.text
    return reply.json()


def judge(client, verdict="good", reviewer="Anna"):
    card = ask(client, "next", reviewer)["card"]
    return card["key"], ask(client, "judge", reviewer, key=card["key"], verdict=verdict)


def test_verdicts_are_in_the_file_before_the_reply(path):
    client = client_of(desk_on(path))
    keys = []
    for verdict, value in (("good", 1), ("bad", 0), ("skip", None)):
        key, found = judge(client, verdict)
        keys.append(key)
        line = json.loads(path.read_text().splitlines()[-1])
        assert (line["key"], line["verified"], line["reviewer"]) == (key, value, "Anna")
    assert found["own"] == {"good": 1, "bad": 1, "skipped": 1}
    assert (found["judged"], found["wanted"], found["last"]) == (2, 8, "skipped")
    assert ask(client, "undo")["card"]["key"] == keys[2]
    assert ask(client, "undo")["card"]["key"] == keys[1]
    assert read_labels(path)["verified"].to_dict() == {keys[0]: 1.0}
    # a server that was killed and started again goes on, and can undo what was said before
    later = client_of(desk_on(path))
    assert ask(later, "next")["own"] == {"good": 1}
    assert ask(later, "undo")["card"]["key"] == keys[0]
    assert ask(later, "undo")["last"] is None


def test_a_key_pressed_twice_counts_once(path):
    client = client_of(desk_on(path))
    key, first = judge(client, "good")
    again = ask(client, "judge", key=key, verdict="good")
    assert again["card"] == first["card"]
    assert len(path.read_text().splitlines()) == 1


def test_another_verdict_after_a_lost_reply_takes_the_place_of_the_first(path):
    client = client_of(desk_on(path))
    (key, _), (_, found) = judge(client, "good"), judge(client, "good")
    again = ask(client, "judge", key=key, verdict="bad")
    assert read_labels(path)["verified"][key] == 0.0
    assert again["card"] == found["card"]
    assert (again["own"], again["last"]) == ({"good": 1, "bad": 1}, "bad")
    assert ask(client, "undo")["card"]["key"] == key
    assert read_labels(path)["verified"].count() == 1


def test_reviewers_share_the_work_and_agreement_is_told(path):
    desk = desk_on(path, n=6, twice=1.0)
    client = client_of(desk)
    a, b = (ask(client, "next", who)["card"]["key"] for who in ("Anna", "Ben"))
    assert a != b  # nobody is shown what another one looks at
    assert ask(client, "next", "Anna")["card"]["key"] == a  # nor another one after a reload
    ask(client, "judge", "Ben", key=b, verdict="bad")
    for who in ("Anna", "Ben", "Anna"):
        while (found := ask(client, "next", who))["card"] is not None:
            ask(client, "judge", who, key=found["card"]["key"], verdict="good")
        # Ben looked at the sixth while Anna judged the others
        assert found["judged"] == 5 + (who == "Ben" or found["own"] == {"good": 6})
    (pair,) = found["agreement"]
    assert pair["reviewers"] == ["Anna", "Ben"]
    assert pair["n"] == 6
    assert pair["share"] == pytest.approx(5 / 6)
    assert pair["kappa"] == pytest.approx(0)
    with pytest.warns(DataLossWarning, match="disagree by half on 1 answers"):
        assert read_labels(path)["verified"].count() == 5
    assert judge(client, "bad", "Cleo")[0] == b  # who is new decides
    assert read_labels(path)["verified"][b] == 0.0


def test_a_share_goes_to_a_second_reviewer(path):
    frame = pd.DataFrame({"prompt": [str(k) for k in range(300)], "completion": ["a"] * 300})
    desk = desk_on(path, n=1, twice=0.2, frame=frame.assign(feedback=None))
    shared = sum(int(key[:8], 16) < 0.2 * 2**32 for key in answer_keys(frame))
    assert 40 < shared < 80
    key = desk.next("Anna")["card"]["key"]
    desk.judge("Anna", key, "good")
    card = desk.next("Ben")["card"]
    assert (card is not None) == (int(key[:8], 16) < 0.2 * 2**32)


def test_texts_are_data_and_only_the_page_may_run(path):
    client = client_of(desk_on(path))
    page = client.get("/")
    for name in ("label.js", "label.css"):
        assert client.get(f"/static/{name}").status_code == 200
        assert f"static/{name}" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "http" not in page.text.replace("http-equiv", "")
    assert "innerHTML" not in client.get("/static/label.js").text
    cards = [ask(client, "next", f"reviewer {k}")["card"] for k in range(8)]
    texts = [card["prompt"] for card in cards]
    more = [ask(client, "judge", "reviewer 0", key=cards[0]["key"], verdict="skip")["card"]]
    texts += [card["prompt"] for card in more if card]
    hostile = [text for text in texts if "script" in text]
    assert hostile in ([], [r"<script>alert(1)</script>\x1b[2J\u202e"])


def test_other_pages_and_names_are_refused(path):
    client = client_of(desk_on(path))
    for route in ("next", "judge", "undo"):
        for headers in ({}, {"X-Token": "wrong"}, {"X-Token": "\xe9"}):
            reply = client.post(
                f"/{route}",
                json={"reviewer": "A", "key": "k", "verdict": "good"},
                headers={k: v.encode("latin-1") for k, v in headers.items()},
            )
            assert reply.status_code == 401
            assert "Question" not in reply.text
    foreign = client.post("/next", json={"reviewer": "A"}, headers={"Host": "evil.example"})
    assert foreign.status_code == 400
    preflight = client.options(
        "/judge", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in preflight.headers
    assert not path.exists()


@pytest.mark.parametrize("name", ["localhost:8001", "127.0.0.1:8001", "[::1]:8001"])
def test_this_machine_is_asked_by_any_of_its_names(path, name):
    client = client_of(desk_on(path), loopback_names("::1"))
    assert client.get("/", headers={"Host": name}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example:8001"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reviewer": "", "key": "k", "verdict": "good"}, 422),
        ({"reviewer": " \n", "key": "k", "verdict": "good"}, 422),
        ({"reviewer": "\ud800" * 61, "key": "k", "verdict": "good"}, 422),
        ({"reviewer": "a" * 61, "key": "k", "verdict": "good"}, 422),
        ({"reviewer": "Anna", "key": "unknown", "verdict": "good"}, 422),
        ({"reviewer": "Anna", "key": "k", "verdict": "great"}, 422),
        ({"reviewer": "Anna", "key": "k" * 20_000, "verdict": "good"}, 413),
    ],
)
def test_what_cannot_be_recorded_is_refused(path, body, status):
    content = json.dumps(body)
    reply = client_of(desk_on(path)).post("/judge", content=content, headers={"X-Token": TOKEN})
    assert reply.status_code == status
    assert reply.json()["error"]["message"]
    assert not path.exists()


def test_a_disk_that_is_full_is_not_taken_for_saved(path, monkeypatch):
    desk = desk_on(path)
    client = client_of(desk)
    key = ask(client, "next")["card"]["key"]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("skcausalrm.datasets._labels.append_label", full)
        body = {"reviewer": "Anna", "key": key, "verdict": "good"}
        reply = client.post("/judge", json=body, headers={"X-Token": TOKEN})
        assert reply.status_code == 500
        assert "(No space left on device)" in reply.json()["error"]["message"]
    found = ask(client, "next")
    assert (found["card"]["key"], found["judged"]) == (key, 0)


# What the page's script asks of a browser, with a server that knows no "Eve".
BROWSER = r"""
const fs = require("fs"), vm = require("vm");
const element = () => ({
  hidden: true, on: {}, value: "", textContent: "", focus() {}, replaceChildren() {},
  addEventListener(name, run) { this.on[name] = run; },
});
const found = {}, kept = { reviewer: "Anna" }, lines = [];
const byId = (id) => (found[id] ??= element());
const localStorage = {
  getItem: (name) => kept[name], setItem(name, value) { kept[name] = value; },
  removeItem(name) { delete kept[name]; },
};
const fetch = async (_, { body }) => {
  const { reviewer } = JSON.parse(body), ok = reviewer !== "Eve";
  const counts = { own: {}, judged: 0, wanted: 1, left: 1, last: null, agreement: [] };
  const json = ok ? { card: null, reviewer, ...counts } : { error: { message: "no" } };
  return { ok, json: async () => json };
};
const rest = { getItem() {}, setItem() {}, replaceState() {}, hash: "#t" };
const document = { getElementById: byId, querySelector: element, addEventListener() {} };
const others = { sessionStorage: rest, location: rest, history: rest };
const world = { document, localStorage, fetch, ...others };
vm.runInNewContext(fs.readFileSync(process.argv[1], "utf8"), world);
const wait = async () => {
  await new Promise((done) => setTimeout(done));
  lines.push([kept.reviewer ?? null, byId("who").hidden, byId("remark").textContent.split(":")[0]]);
};
(async () => {
  await wait();
  byId("other").on.click();
  await wait();
  for (const name of ["Eve", "Ben"]) {
    byId("name").value = name;
    byId("who").on.submit({ preventDefault() {} });
    await wait();
  }
  console.log(JSON.stringify(lines));
})();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
def test_another_person_gives_another_name_kept_once_the_server_takes_it():
    script = Path(_label_app.__file__).parent / "static" / "label.js"
    done = subprocess.run(
        ["node", "-e", BROWSER, str(script)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["Anna", True, "Anna"],
        [None, False, "Anna"],
        [None, False, "Anna"],
        ["Ben", True, "Ben"],
    ]
