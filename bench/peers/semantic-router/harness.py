"""semantic-router on the vectors that Troupe routes with, so that only the routing differs.

Reads one JSON object that names a file of vectors (rows of little-endian 32-bit floats) and cases.
A case says which rows are examples of which route, which rows are asked, and which rows are asked
although no route is meant. An utterance is the number of its row, and the encoder looks it up. Prints
one JSON object. Fetches nothing: its packages are in requirements.txt.

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
from semantic_router import Route
from semantic_router.encoders import DenseEncoder
from semantic_router.routers import IndexedRouter

# What a caller gets who says nothing, and what measured best of the others.
AGGREGATIONS = ["mean", "sum"]


class Lookup(DenseEncoder):
    """Vectors that are there already."""

    rows: np.ndarray

    def __call__(self, docs):
        return self.rows[[int(doc) for doc in docs]].tolist()

    async def acall(self, docs):
        return self(docs)


def area(inside, outside):
    """The area under the ROC curve; equal scores count half."""
    if not inside or not outside:
        return None
    ordered = np.sort(np.asarray(outside))
    below = np.searchsorted(ordered, inside, side="left")
    upto = np.searchsorted(ordered, inside, side="right")
    return float((below + upto).mean() / 2 / len(ordered))


def ask(router, row, slowest):
    """The best route without any threshold, with its score."""
    begun = time.perf_counter()
    choice = router(str(row))
    slowest.append(time.perf_counter() - begun)
    score = choice.confidence
    return choice.name, float("-inf") if score is None else float(score)


def measure(case, rows, aggregation):
    routes = [
        Route(name=name, utterances=[str(row) for row in examples])
        for name, examples in case["routes"].items()
    ]
    begun = time.perf_counter()
    router = IndexedRouter(
        encoder=Lookup(name="lookup", rows=rows), routes=routes, aggregation=aggregation
    )
    built = time.perf_counter() - begun
    took = []
    told = [(ask(router, row, took), label) for row, label in case["test"]]
    strangers = [ask(router, row, took)[1] for row in case.get("out_of_scope", [])]
    right = sum(name == label for (name, _), label in told)
    took.sort()
    return {
        "name": case["name"],
        "shots": case["shots"],
        "seed": case["seed"],
        "aggregation": aggregation,
        "accuracy": right / max(len(told), 1),
        "out_of_scope_auroc": area([score for (_, score), _ in told], strangers),
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
    results = [
        measure(case, rows, aggregation) for case in asked["cases"] for aggregation in AGGREGATIONS
    ]
    versions = f"semantic-router {version('semantic-router')}, Python {platform.python_version()}"
    print(json.dumps({"versions": versions, "results": results}))


if __name__ == "__main__":
    main()
