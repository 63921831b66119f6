"""Files that appear whole or not at all."""

import json
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


def write(folder, command, **texts):
    with files.replaced_when_done(folder) as (_, out):
        for name, text in texts.items():
            (out / name).write_text(text)
        if command:
            files.write_list(out, command)


def names_in(folder):
    return {path.name for path in folder.iterdir()} - {files.LIST}


def test_the_same_command_removes_what_it_no_longer_writes(tmp_path):
    (tmp_path / "mine").write_text("mine")
    write(tmp_path, "report", a="1", b="1", c="1")
    (tmp_path / "c").write_text("edited")
    write(tmp_path, None, d="1")  # a figure by name
    write(tmp_path, "report", a="2")
    assert names_in(tmp_path) == {"a", "c", "d", "mine"}
    assert (tmp_path / "a").read_text() == "2"


def test_another_command_removes_nothing(tmp_path):
    write(tmp_path, "report", a="1", b="1")
    write(tmp_path, None, a="2")
    write(tmp_path, "report --font serif", a="2")
    assert names_in(tmp_path) == {"a", "b"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made_by": "report", "files": ["b"]}',
                                  '{"made_by": "report", "files": {"b": null, "../x": "1"}}'])
def test_a_list_that_is_none_removes_nothing(text, tmp_path):
    write(tmp_path / "out", None, b="1")
    (tmp_path / "out" / files.LIST).write_text(text)
    (tmp_path / "x").write_text("1")
    write(tmp_path / "out", "report", a="1")
    assert names_in(tmp_path / "out") == {"a", "b"} and (tmp_path / "x").exists()
    assert set(json.loads((tmp_path / "out" / files.LIST).read_text())["files"]) == {"a"}


def test_a_link_that_is_listed_stays(tmp_path):
    write(tmp_path / "out", "report", a="1", b="1")
    (tmp_path / "out" / "b").rename(tmp_path / "b")
    (tmp_path / "out" / "b").symlink_to(tmp_path / "b")
    write(tmp_path / "out", "report", a="1")
    assert names_in(tmp_path / "out") == {"a", "b"}
