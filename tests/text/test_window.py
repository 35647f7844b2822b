"""The rule by which prompt and answer share the tokens that an encoder reads."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcausalrm import ConversationEncoder
from skcausalrm.exceptions import DataLossWarning
from skcausalrm.text import _tokens as tokens_module
from skcausalrm.text import _window as window_module
from skcausalrm.text._conversation import Passage, as_conversations
from skcausalrm.text._encoder import backend_of
from skcausalrm.text._parts import TEXTS
from skcausalrm.text._saved import encoder_settings, load_encoder
from skcausalrm.text._window import ANSWER, PROMPT, RULES, Bounds, Window, cut_tokens

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.DataLossWarning")
LONG = "The report of the year. " * 400
ANSWERS = ["Yes.", "No, never.", "It depends on the weather."]


@st.composite
def long_texts(draw):
    lead, prompt, answer, tail = (draw(st.integers(0, n)) for n in (3, 40, 40, 3))
    size = draw(st.integers(1, max(1, lead + prompt + answer + tail - 1)))
    bounds = Bounds(lead, lead + prompt, lead + prompt + answer, lead + prompt + answer + tail)
    return bounds, size


@given(long_texts(), st.sampled_from(RULES), st.sampled_from(["right", "left"]))
def test_windows_are_full_but_not_larger_and_keep_order_and_marks(text, rule, side):
    bounds, size = text
    if bounds.size <= size:
        return
    windows = Window(size, rule, side).kept(bounds)
    marks = bounds.lead + bounds.size - bounds.tail
    for kept in windows:
        assert len(kept) <= size
        assert (np.diff(kept) > 0).all()
        if size > marks:
            assert set(range(bounds.lead)) <= set(kept.tolist())
            assert set(range(bounds.tail, bounds.size)) <= set(kept.tolist())
    if rule != "windows":
        assert [len(kept) for kept in windows] == [size]


@given(long_texts())
def test_the_answer_comes_first(text):
    bounds, size = text
    lead, answer, tail, n = bounds
    room = size - lead - (n - tail)
    if room <= 0 or n <= size:
        return
    (kept,) = Window(size).kept(bounds)
    read = kept[(kept >= answer) & (kept < tail)]
    prompt = kept[(kept >= lead) & (kept < answer)]
    if tail - answer <= room:
        assert read.tolist() == list(range(answer, tail))
        assert prompt.tolist() == list(range(answer - (room - len(read)), answer))
    else:
        assert not len(prompt)
        half = room // 2
        expected = [*range(answer, answer + room - half), *range(tail - half, tail)]
        assert read.tolist() == expected
    windows = Window(size, "windows").kept(bounds)
    whole = np.concatenate([kept[(kept >= answer) & (kept < tail)] for kept in windows])
    assert whole.tolist() == list(range(answer, tail))
    if tail - answer <= room:
        assert len(windows) == 1


def test_parts_that_lost_tokens_are_flagged():
    ids = {"input_ids": [list(range(n)) for n in (4, 8, 8, 12)]}
    bounds = [None, Bounds(1, 5, 7, 8), Bounds(1, 1, 7, 8), Bounds(1, 2, 11, 12)]
    cut = cut_tokens(ids, Window(6), bounds.__getitem__)
    assert cut.truncated.tolist() == [0, PROMPT, ANSWER, PROMPT | ANSWER]
    assert [row.tolist() for row in cut.columns["input_ids"]] == [
        [0, 1, 2, 3],
        [0, 3, 4, 5, 6, 7],
        [0, 1, 2, 5, 6, 7],
        [0, 2, 3, 9, 10, 11],
    ]
    cut = cut_tokens(ids, Window(6, "windows"), bounds.__getitem__)
    assert cut.truncated.tolist() == [0, PROMPT, 0, 0]
    assert cut.owner.tolist() == [0, 1, 2, 2, 3, 3, 3]


# -- encoders


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("rule", ["answer_first", "windows"])
@pytest.mark.parametrize("name", ["bert", "llama", "llama-base", "bert-reward"])
def test_the_answer_to_a_long_prompt_is_read(tiny, name, text, rule):
    encoder = ConversationEncoder(
        tiny[name], device="cpu", max_length=64, text=text, long_texts=rule
    )
    X = encoder.transform([(LONG, answer) for answer in ANSWERS])
    distances = np.linalg.norm(X[:, None] - X, axis=2)[np.triu_indices(3, 1)]
    assert distances.min() > 1e-3
    assert encoder.truncated_prompt_count_ == (0 if text == "answer" else 3)
    assert encoder.truncated_answer_count_ == 0


def test_tokens_of_an_encoder(tiny):
    encoder = ConversationEncoder(tiny["bert"], device="cpu", max_length=12)
    backend = backend_of(encoder)
    rows = [("abcdefgh", "123456"), ("ab", "0123456789xyz"), ("ab", "123")]
    tokens = backend.tokenize(backend.render(as_conversations(rows)))
    read = [backend.tokenizer.decode(ids) for ids in tokens.columns["input_ids"]]
    assert read == [
        "[CLS]gh\n\n123456[SEP]",
        "[CLS]0123489xyz"[:10] + "89xyz[SEP]",
        "[CLS]ab\n\n123[SEP]",
    ]
    assert tokens.truncated.tolist() == [PROMPT, PROMPT | ANSWER, 0]


def test_template_marks_before_and_after_the_answer_are_kept(tiny):
    encoder = ConversationEncoder(tiny["llama"], device="cpu", max_length=24)
    backend = backend_of(encoder)
    rows = [("x" * 50, "</s>end"), ("question", "0123456789" * 5)]
    passages = backend.render(as_conversations(rows))
    assert [p.text[p.answer : p.end] for p in passages] == [row[1] for row in rows]
    tokens = backend.tokenize(passages)
    read = [backend.tokenizer.decode(ids) for ids in tokens.columns["input_ids"]]
    assert read == [
        "<s>xxxxxx</s>assistant: </s>end</s>",
        "<s>" + "01234567890" + "90123456789" + "</s>",
    ]


def test_a_system_prompt_goes_before_the_last_turn(tiny):
    encoder = ConversationEncoder(tiny["bert"], device="cpu", max_length=80, text="pair")
    rows = [
        ([{"role": "system", "content": LONG}, {"role": "user", "content": question}], "Yes.")
        for question in ("Is it good?", "Was it bad?")
    ]
    X = encoder.transform(rows)
    assert np.abs(X[0] - X[1]).max() > 1e-3


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=4))
def test_cut_is_the_tokenizers_own_truncation(tiny, rows):
    for name, size in (("bert", 14), ("llama-base", 9)):
        rule = ConversationEncoder(tiny[name], device="cpu", max_length=size, long_texts="cut")
        backend = backend_of(rule)
        kept = [(p, c) for p, c in rows if c.strip()]
        passages = [passage.valid() for passage in backend.render(as_conversations(kept))]
        if not passages:
            continue
        ours = backend.tokenize(passages, "cut").columns["input_ids"]
        theirs = backend.tokenizer(
            [passage.text for passage in passages], truncation=True, max_length=size
        )["input_ids"]
        assert [ids.tolist() for ids in ours] == theirs


@given(st.text(max_size=80), st.text(min_size=1, max_size=80), st.integers(4, 60))
def test_bounds_without_offsets_are_those_with_offsets(tiny, prompt, answer, size):
    if not answer.strip():
        return
    backend = backend_of(ConversationEncoder(tiny["bert"], device="cpu"))
    (passage,) = (p.valid() for p in as_conversations([(prompt, answer)]).passages())

    def run(texts):
        return dict(backend.tokenizer(texts, verbose=False))

    window = Window(size)
    slow = tokens_module.tokens_of(run, [passage], window)
    fast = tokens_module.tokens_of(
        lambda texts: backend.tokenizer(texts, verbose=False), [passage], window
    )
    np.testing.assert_array_equal(slow.columns["input_ids"][0], fast.columns["input_ids"][0])
    assert slow.truncated.tolist() == fast.truncated.tolist()


def test_windows_are_averaged_and_survive_the_cache(tiny, tmp_path):
    answer = "0123456789" * 5
    encoder = ConversationEncoder(
        tiny["bert"], device="cpu", max_length=27, long_texts="windows", cache_dir=tmp_path
    )
    rows = [("", answer), ("", "short"), ("", answer)]
    X = encoder.transform(rows)
    parts = encoder.transform([("", answer[:25]), ("", answer[25:])])
    np.testing.assert_allclose(X[0], parts.mean(0), atol=5e-6)
    np.testing.assert_array_equal(encoder.transform(rows), X)
    assert (encoder.encoded_count_, encoder.cache_hit_count_) == (0, 2)


def test_long_logs_are_tokenised_in_runs(tiny, monkeypatch):
    encoder = ConversationEncoder(tiny["bert"], device="cpu", max_length=20)
    rows = [("p" * n, f"{n}") for n in range(1, 40, 3)]
    X = encoder.transform(rows)
    monkeypatch.setattr(window_module, "_CHUNK_CHARACTERS", 30)
    np.testing.assert_array_equal(encoder.transform(rows), X)


def test_apart_is_prompt_and_answer_side_by_side_and_their_cosine(tiny):
    rows = [("Hi", "Hello!"), ("", "Just this."), (LONG, "Hello!"), ("Hi", "Bye")]
    apart = ConversationEncoder(tiny["bert"], device="cpu", text="apart", max_length=40)
    X = apart.transform(rows)
    assert X.shape == (4, 65)
    assert len(ConversationEncoder(tiny["bert"], text="apart").get_feature_names_out()) == 65
    alone = ConversationEncoder(tiny["bert"], device="cpu", text="answer", max_length=40)
    np.testing.assert_allclose(X[:, 32:64], alone.transform(rows), atol=5e-6)
    np.testing.assert_allclose(X[0, :32], alone.transform([("", "Hi")])[0], atol=5e-6)
    assert not X[1, :32].any()
    lengths = np.linalg.norm(X[:, :32], axis=1) * np.linalg.norm(X[:, 32:64], axis=1)
    cosine = (X[:, :32] * X[:, 32:64]).sum(axis=1)[[0, 2, 3]] / lengths[[0, 2, 3]]
    np.testing.assert_allclose(X[[0, 2, 3], 64], cosine, atol=5e-6)
    assert X[1, 64] == 0
    np.testing.assert_array_equal(X[0, :32], X[3, :32])
    assert (apart.truncated_prompt_count_, apart.truncated_answer_count_) == (1, 0)
    assert apart.encoded_count_ == 5
    ended = [(LONG + "one?", "Yes"), (LONG + "two?", "Yes")]
    assert np.abs(np.diff(apart.transform(ended)[:, :32], axis=0)).max() > 1e-4
    assert apart.transform([]).shape == (0, 65)


def test_last_turn_reads_no_history(tiny):
    encoder = ConversationEncoder(tiny["bert"], device="cpu", text="last_turn")
    history = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"}]
    asked = [*history, {"role": "assistant", "content": "1."}, {"role": "user", "content": "Two?"}]
    X = encoder.transform([(asked, "2."), ("Two?", "2."), (asked[:1], "2.")])
    np.testing.assert_allclose(X[0], X[1], atol=5e-6)
    assert np.abs(X[2] - X[1]).max() > 1e-3


def test_auto_reads_apart_but_pairs_by_models_of_pairs(tiny):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two?"}]
    rows = [(chat, "2."), ("Two?", "2.")]
    for name, text in (("bert", "apart"), ("bert-reward", "pair"), ("llama-base", "pair")):
        auto = ConversationEncoder(tiny[name], device="cpu").transform(rows)
        explicit = ConversationEncoder(tiny[name], device="cpu", text=text).transform(rows)
        np.testing.assert_array_equal(auto, explicit)
        assert auto.shape[1] == (65 if text == "apart" else 32)


# -- counts and warnings


def test_a_shortened_answer_warns_and_few_shortened_prompts_do_not(tiny):
    encoder = ConversationEncoder(tiny["bert"], device="cpu", max_length=40)
    rows = [("Hi", f"Hello {i}") for i in range(19)]
    with pytest.warns(DataLossWarning, match="1 of 20 answers"):
        encoder.transform([*rows, ("Hi", "long " * 20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform([*rows, (LONG, "Hello")])
    assert encoder.truncated_prompt_count_ == 1
    with pytest.warns(DataLossWarning, match="3 of 22 prompts were shortened"):
        encoder.transform([*rows, *[(LONG, "Hello")] * 3])


# -- stored settings


def test_directories_of_earlier_versions_keep_their_rule(tiny, tmp_path):
    settings = encoder_settings(ConversationEncoder(tiny["bert"], device="cpu"))
    now = load_encoder(settings, tmp_path, None)
    assert (now.text, now.long_texts) == ("apart", "answer_first")
    earlier = {k: v for k, v in settings.items() if k not in ("text", "long_texts")}
    loaded = load_encoder(earlier, tmp_path, None)
    assert (loaded.text, loaded.long_texts) == ("pair", "cut")


def test_rules_and_places_do_not_share_the_cache(tiny, tmp_path):
    choices = {"device": "cpu", "cache_dir": tmp_path, "max_length": 30, "text": "pair"}
    first = ConversationEncoder(tiny["bert"], **choices)
    X = first.transform([(LONG, "Yes.")])
    cut = ConversationEncoder(tiny["bert"], long_texts="cut", **choices)
    assert np.abs(cut.transform([(LONG, "Yes.")]) - X).max() > 1e-3
    one, other = ("a\n\nb" + "c" * 40, "d"), ("a", "b" + "c" * 40 + "\n\nd")
    assert as_conversations([one]).texts() == as_conversations([other]).texts()
    X = first.transform([one, other])
    assert np.abs(X[0] - X[1]).max() > 1e-3


def test_places_of_a_repaired_text():
    passage = Passage("\ud83d\ude00 q\n\n\ud83d\ude00 a", 0, 6, 10).valid()
    assert passage.text[passage.answer : passage.end] == "😀 a"
