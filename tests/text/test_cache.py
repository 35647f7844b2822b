import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.exceptions import FileFormatError
from skcausalrm.text import EmbeddingCache

SETTINGS = {"model": "org/tiny", "pooling": "mean"}


def random_vectors(n, d=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def fill(folder, texts, vectors, settings=SETTINGS):
    with EmbeddingCache(folder, settings) as cache:
        cache.put(texts, vectors, np.arange(len(texts)) % 2 == 1)
        return cache.path


def alter(path, statement, *values):
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement, values).rowcount == 1


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(), unique=True, max_size=30), d=st.integers(1, 5))
def test_round_trip_of_any_text(tmp_path_factory, texts, d):
    vectors = random_vectors(len(texts), d)
    folder = tmp_path_factory.mktemp("cache")
    fill(folder, texts, vectors)
    with EmbeddingCache(folder, SETTINGS) as cache:
        found, read, truncated = cache.get([*texts, "never stored" * 9])
        assert len(cache) == len(texts)
    np.testing.assert_array_equal(found, np.arange(len(texts)))
    if texts:
        np.testing.assert_array_equal(read, vectors)
    np.testing.assert_array_equal(truncated, np.arange(len(texts)) % 2 == 1)


def test_more_texts_than_a_query_holds(tmp_path):
    texts = [str(i) for i in range(2_345)]
    vectors = random_vectors(len(texts))
    fill(tmp_path, texts, vectors)
    order = np.random.default_rng(1).permutation(len(texts))
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        found, read, _ = cache.get([texts[i] for i in order])
    np.testing.assert_array_equal(found, np.arange(len(texts)))
    np.testing.assert_array_equal(read, vectors[order])


def test_settings_do_not_mix(tmp_path):
    path = fill(tmp_path, ["a"], random_vectors(1))
    with EmbeddingCache(tmp_path, SETTINGS | {"pooling": "last"}) as other:
        assert other.path != path
        assert len(other.get(["a"])[0]) == 0
    assert path.name.startswith("tiny-")


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_one_flipped_bit_is_a_miss(tmp_path, bit):
    path = fill(tmp_path, ["a"], random_vectors(1))
    with closing(sqlite3.connect(path)) as db:
        (blob,) = db.execute("SELECT vector FROM embeddings").fetchone()
    damaged = bytearray(blob)
    damaged[bit // 8] ^= 1 << (bit % 8)
    alter(path, "UPDATE embeddings SET vector = ?", bytes(damaged))
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        found, _, _ = cache.get(["a"])
        assert len(found) == 0
        assert cache.corrupt_count == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("truncated", 1), ("truncated", 9), ("checksum", 3), ("vector", b""), ("vector", "text")],
)
def test_damage_elsewhere_is_a_miss(tmp_path, column, value):
    path = fill(tmp_path, ["a"], random_vectors(1))
    alter(path, f"UPDATE embeddings SET {column} = ?", value)
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        assert len(cache.get(["a"])[0]) == 0
        assert cache.corrupt_count == 1
        cache.put(["a"], random_vectors(1, seed=5), np.array([False]))
        np.testing.assert_array_equal(cache.get(["a"])[1], random_vectors(1, seed=5))
        assert len(cache) == 1


def test_an_entry_moved_to_another_text_is_a_miss(tmp_path):
    path = fill(tmp_path, ["a", "b"], random_vectors(2))
    with closing(sqlite3.connect(path)) as db:
        keys = [key for (key,) in db.execute("SELECT text_hash FROM embeddings ORDER BY rowid")]
    alter(path, "DELETE FROM embeddings WHERE text_hash = ?", keys[1])
    alter(path, "UPDATE embeddings SET text_hash = ? WHERE text_hash = ?", keys[1], keys[0])
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        assert len(cache.get(["a", "b"])[0]) == 0


def test_no_database_is_explained(tmp_path):
    path = fill(tmp_path, ["a"], random_vectors(1))
    path.write_bytes(b"this is no database, and long enough to be read as one" * 100)
    with pytest.raises(FileFormatError, match=r"delete the file"):
        EmbeddingCache(tmp_path, SETTINGS)


def test_a_failed_put_leaves_nothing(tmp_path):
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        with pytest.raises(ValueError, match="zip"):
            cache.put(["a", "b"], random_vectors(1), np.array([False]))
        assert len(cache) == 0
        cache.put(["a"], random_vectors(1), np.array([False]))
        assert len(cache) == 1


def test_writers_wait_for_one_another(tmp_path):
    errors = []

    def write(seed):
        try:
            for i in range(10):
                fill(tmp_path, [f"{seed}-{i}", "shared"], random_vectors(2, seed=seed))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with EmbeddingCache(tmp_path, SETTINGS) as cache:
        assert len(cache) == 41
        assert len(cache.get(["shared"])[0]) == 1
