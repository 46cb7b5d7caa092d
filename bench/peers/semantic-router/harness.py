"""semantic-router on the vectors that Troupe routes with, so that only the routing differs.

Reads one JSON object that names a file of vectors (rows of little-endian 32-bit floats) and cases.
A case says which rows are examples of which route, which rows are asked, and which rows are asked
although no route is meant. An utterance is the number of its row, and the encoder looks it up. Prints
one JSON object. Fetches nothing: its packages are in requirements.txt.

Its calibrator is fitted as its documentation asks: on queries that are not stored. So that none of the
examples is lost for it, each fifth of them is asked of a router that knows the other four; what comes
out of this also says from which confidence on nine in ten of its answers are right, which becomes its
threshold. It is what we do for our own router, with its means.

    python harness.py --input cases.json

    {"vectors": "vectors.f32", "dims": 384, "cases": [
      {"name": "work", "shots": 5, "seed": 0, "routes": {"fix_bug": [0, 1]},
       "test": [[7, "fix_bug"]], "out_of_scope": [9]}]}
"""

import argparse
import json
import pathlib
import platform
import time
from importlib.metadata import version

import numpy as np
from pydantic import PrivateAttr
from semantic_router import Route
from semantic_router.calibration import Calibrator
from semantic_router.encoders import DenseEncoder
from semantic_router.index import LocalIndex
from semantic_router.routers import IndexedRouter

# The first is what a caller gets who says nothing.
AGGREGATIONS = ["mean", "sum", "max"]
# Parts that the examples are cut into, of which each is held out once.
FOLDS = 5
# The share of answers that should be right.
PRECISION = 0.9
# Bins of the calibration error.
BINS = 15
# Examples that are held out, over all parts: with more, a run would take an hour.
HELD_OUT_MAX = 1_000


class Lookup(DenseEncoder):
    """Vectors that are there already."""

    rows: np.ndarray

    def __call__(self, docs):
        return self.rows[[int(doc) for doc in docs]].tolist()

    async def acall(self, docs):
        return self(docs)


class Once(LocalIndex):
    """Searches for each vector once: every way to aggregate begins with the same search."""

    _found: dict = PrivateAttr(default_factory=dict)

    def query(self, vector, *args, **options):
        key = np.asarray(vector).tobytes()
        if key not in self._found:
            self._found[key] = super().query(vector, *args, **options)
        return self._found[key]


def area(inside, outside):
    """The area under the ROC curve; equal scores count half."""
    if len(inside) == 0 or len(outside) == 0:
        return None
    ordered = np.sort(np.asarray(outside))
    below = np.searchsorted(ordered, inside, side="left")
    upto = np.searchsorted(ordered, inside, side="right")
    return float((below + upto).mean() / 2 / len(ordered))


def calibration_error(stated, right):
    """By how much stated probabilities and the share that is right differ, over bins of equal width."""
    bins = np.minimum((np.asarray(stated) * BINS).astype(int), BINS - 1)
    off = np.zeros(BINS)
    np.add.at(off, bins, np.asarray(stated) - np.asarray(right, dtype=float))
    return float(np.abs(off).sum() / max(len(stated), 1))


def calibration_error_of_chance(stated):
    """What is to be expected where every stated probability is true: how far the number of right ones
    is from what it should be, in each bin, on average."""
    stated = np.asarray(stated)
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    off = 0.0
    for bin in range(BINS):
        likely = np.ones(1)
        for probability in stated[bins == bin]:
            likely = np.convolve(likely, [1 - probability, probability])
        off += (likely * np.abs(np.arange(len(likely)) - stated[bins == bin].sum())).sum()
    return float(off / max(len(stated), 1))


def build(routes, rows, aggregation, index):
    """A router over an index, which is filled the first time."""
    missing = [
        Route(name=name, utterances=[str(row) for row in examples])
        for name, examples in routes.items()
        if examples
    ]
    return IndexedRouter(
        encoder=Lookup(name="lookup", rows=rows),
        routes=[] if len(index) else missing,
        index=index,
        aggregation=aggregation,
    )


def ask(router, row):
    """The best route without any threshold, with its score."""
    choice = router(str(row))
    score = choice.confidence
    return choice.name, float("-inf") if score is None else float(score)


def held_out(routes, rows, aggregation, indexes):
    """Scores of examples that are not stored, and whether the best route is theirs."""
    scores, right = [], []
    every = -(-sum(map(len, routes.values())) // HELD_OUT_MAX)
    asked = 0
    for fold in range(FOLDS):
        stored = {
            name: [row for place, row in enumerate(examples) if place % FOLDS != fold]
            for name, examples in routes.items()
        }
        if not any(stored.values()):
            continue
        router = build(stored, rows, aggregation, indexes[fold])
        for name, examples in routes.items():
            for row in examples[fold::FOLDS]:
                asked += 1
                if asked % every:
                    continue
                best, score = ask(router, row)
                scores.append(score)
                right.append(best == name)
    return np.asarray(scores), np.asarray(right, dtype=float)


def threshold(stated, right):
    """The lowest confidence from which on the wanted share is right; above 1 if there is none."""
    order = np.argsort(-stated, kind="stable")
    ordered = stated[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A threshold cannot part what is equal.
    last = np.append(ordered[1:] != ordered[:-1], True)
    reached = np.flatnonzero((share >= PRECISION) & last)
    return float(ordered[reached[-1]]) if len(reached) else 1.01


def measure(case, rows):
    """Each way to aggregate. Times are those of the first, for which nothing was found before."""
    index, indexes, results = Once(), [Once() for _ in range(FOLDS)], []
    for aggregation in AGGREGATIONS:
        result = measure_one(case, rows, aggregation, index, indexes)
        if results:
            result |= {"build_s": results[0]["build_s"], "decide_p50_us": None, "decide_p99_us": None}
        results.append(result)
    return results


def measure_one(case, rows, aggregation, index, indexes):
    begun = time.perf_counter()
    router = build(case["routes"], rows, aggregation, index)
    raw, known = held_out(case["routes"], rows, aggregation, indexes)
    calibrator = Calibrator.fit(raw, known, "platt") if 0 < known.sum() < len(known) else None
    sure = calibrator or (lambda scores: np.clip(scores, 0.0, 1.0))
    bar = threshold(np.asarray(sure(raw)), known)
    built = time.perf_counter() - begun
    took, told = [], []
    for row, label in case["test"]:
        begun = time.perf_counter()
        name, score = ask(router, row)
        took.append(time.perf_counter() - begun)
        told.append((name == label, score))
    strangers = [ask(router, row)[1] for row in case.get("out_of_scope", [])]
    right = np.asarray([is_right for is_right, _ in told], dtype=float)
    scores = np.asarray([score for _, score in told])
    stated = np.asarray(sure(scores))
    answers = stated >= bar
    taken = (np.asarray(sure(np.asarray(strangers))) >= bar).mean() if strangers else None
    took.sort()
    return {
        "name": case["name"],
        "shots": case["shots"],
        "seed": case["seed"],
        "aggregation": aggregation,
        "accuracy": float(right.mean()),
        "out_of_scope_auroc": area(scores, strangers),
        "calibration_error": calibration_error(stated, right),
        "calibration_error_of_chance": calibration_error_of_chance(stated),
        "coverage": float(answers.mean()),
        "precision": float(right[answers].mean()) if answers.any() else None,
        "strangers_taken": None if taken is None else float(taken),
        "build_s": built,
        "decide_p50_us": took[len(took) // 2] * 1e6 if took else None,
        "decide_p99_us": took[len(took) * 99 // 100] * 1e6 if took else None,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=pathlib.Path, required=True)
    path = parser.parse_args().input
    asked = json.loads(path.read_text())
    rows = np.fromfile(path.parent / asked["vectors"], dtype="<f4").reshape(-1, asked["dims"])
    results = [result for case in asked["cases"] for result in measure(case, rows)]
    versions = f"semantic-router {version('semantic-router')}, Python {platform.python_version()}"
    print(json.dumps({"versions": versions, "results": results}))


if __name__ == "__main__":
    main()
