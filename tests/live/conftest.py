"""The scripts of this folder start real servers; pytest does not collect them."""

collect_ignore_glob = ["*.py"]
