"""Files that appear whole or not at all."""

import os

import pytest

files = pytest.importorskip("rhosweep_reports.files")


def test_the_page_comes_last(tmp_path, monkeypatch):
    """So that it never names a figure that is not there yet."""
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (moved.append(new.name), replace(old, new)))
    with files.replaced_when_done(tmp_path / "new") as (_, out):
        for name in ("index.html", "z.svg", "a.svg"):
            (out / name).write_text(name)
    assert moved == ["a.svg", "z.svg", "index.html"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(moved)


def test_an_exception_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "a.svg").write_text("old")
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(KeyError), files.replaced_when_done(folder) as (_, out):
            (out / "a.svg").write_text("new")
            raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "old"
