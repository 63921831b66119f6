"""The folder of results: a few small files, each written anew, and whole, as a result comes in.

    machine.txt      what was measured on, and which commit
    steps.json       every step with how it ended
    bench.json       rows of rhosweep-bench, the engine as it chooses its path
    paths.json       the same with a path forced; each row names it in "path"
    peers.json       rows of the peers
    summary.md       all of it as a page
    results.tar.gz   these, and the log of every step
"""

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from gpu_summary import read_json

ARCHIVE = "results.tar.gz"
FILES = ("machine.txt", "steps.json", "bench.json", "paths.json", "peers.json", "summary.md",
         ARCHIVE)


class Results:
    def __init__(self, folder, summarise):
        """`summarise` makes the page from the folder."""
        self.folder = folder
        self._summarise = summarise
        self.work = Path(tempfile.mkdtemp(prefix="gpu-check-"))
        self.steps = []
        self._tables = {"bench.json": {"context": {}, "benchmarks": []},
                        "paths.json": {"context": {}, "benchmarks": []},
                        "peers.json": {"runs": [], "results": []}}
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)

    def log(self, step):
        return self.work / f"{step.name}.log"

    def write(self, name, text):
        """A reader finds the old file or the new one, and nothing between."""
        part = self.work / f"{name}.part"
        part.write_text(text)
        self._put(part, name)

    def _put(self, part, name):
        beside = self.folder / f".{name}.part"
        shutil.copyfile(part, beside)
        os.replace(beside, self.folder / name)
        part.unlink()

    def _write_json(self, name, document):
        self.write(name, json.dumps(document, indent=1) + "\n")

    def add_benchmarks(self, path, forced=""):
        """Takes in what rhosweep-bench wrote to `path`; `forced` is the engine's path, if any."""
        document = read_json(path)
        if document is None:
            return
        name = "paths.json" if forced else "bench.json"
        table = self._tables[name]
        table["context"] = table["context"] or document.get("context", {})
        more = {"path": forced} if forced else {}
        table["benchmarks"] += [row | more for row in document["benchmarks"]]
        self._write_json(name, table)

    def add_peers(self, path, program):
        """Takes in what a peer program printed."""
        document = read_json(path)
        if document is None:
            return
        table = self._tables["peers.json"]
        table["results"] += [row | {"program": program} for row in document.pop("results")]
        table["runs"].append(document | {"program": program})
        self._write_json("peers.json", table)

    def add_step(self, result):
        self.steps.append(result)
        self._write_json("steps.json", {"steps": self.steps})
        self.save()

    def save(self):
        """The page and the archive, from all there is so far."""
        self.write("summary.md", self._summarise(self.folder))
        part = self.work / f"{ARCHIVE}.part"
        with tarfile.open(part, "w:gz") as archive:
            for path in sorted([*self.work.glob("*.log"), *self.work.glob("*.json")]):
                archive.add(path, f"results/logs/{path.name}")
            for name in FILES:
                if name != ARCHIVE and (self.folder / name).exists():
                    archive.add(self.folder / name, f"results/{name}")
        self._put(part, ARCHIVE)

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)
