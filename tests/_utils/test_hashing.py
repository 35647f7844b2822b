"""Stored files hold these hashes, so their values are written out here."""

import numpy as np
import pandas as pd
import pytest

from skcausalrm._utils._hashing import hash_bytes, hash_folder, hash_rows, hash_text
from skcausalrm.datasets._labels import answer_keys
from skcausalrm.text import EmbeddingCache


def test_values_that_stored_files_hold(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.txt").write_text("two\n")
    assert hash_text("Zoë 🌍").hex() == "ca16e7308724ec4ce49f77a4df4eb6cf"
    assert hash_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (
        hash_folder(tmp_path, [("a.json", 2), ("b.txt", 4)]) == "3083b35cbc8fe18126aae83d5da39767"
    )
    pairs = pd.DataFrame({"prompt": ["2+2?"], "completion": ["4"]})
    assert answer_keys(pairs).tolist() == ["29c532673cb5ab37b3bca2f1346549b3"]
    with EmbeddingCache(tmp_path, {"model": "org/tiny", "pooling": "mean"}) as cache:
        assert cache.path.name == "tiny-d0c0ecc78385d0b4.sqlite"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_hashes_tell_rows_apart_and_are_the_same_in_any_block(dtype):
    X = np.random.default_rng(0).standard_normal((1_500, 7)).astype(dtype)
    X[1_200] = X[3]
    rows = np.arange(len(X))
    hashes = hash_rows(X, rows)
    assert hashes[1_200] == hashes[3]
    assert len(np.unique(hashes)) == len(X) - 1
    np.testing.assert_array_equal(hash_rows(X, rows[600:700]), hashes[600:700])


def test_row_hashes_depend_on_the_order_of_columns_and_on_every_bit():
    X = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, np.nextafter(2.0, 3.0)], [-0.0, 0.0], [0.0, 0.0]])
    assert len(np.unique(hash_rows(X, np.arange(5)))) == 5
