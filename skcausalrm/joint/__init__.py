"""The selection likelihood in its three steps: indices, graded likelihood, averaging.

`skcausalrm.SelectionModel` puts them together; everything here is numpy on small arrays, but for
the two logistic regressions of `indices`.
"""
