# SPDX-License-Identifier: MIT
"""Records NumPy's random numbers, for tests/tweedie/random/numpy.cpp: python3 make_numpy_noise.py numpy_noise.json

Written with NumPy 1.24.2 and glibc 2.36 of Debian 12, x86-64. Of each call the checksum of all its numbers is kept
(FNV-1a by words of 32 bits, low word first) and its first and last numbers, as bits.
"""

import json
import sys

import numpy

MASK = (1 << 64) - 1


def recorded(numbers):
    value = 0xCBF29CE484222325
    for word in numbers.view(numpy.uint32).tolist():
        value = ((value ^ word) * 0x100000001B3) & MASK
    bits = numbers.view(numpy.uint64)
    return {"size": len(numbers), "checksum": f"{value:016x}", "first": [f"{int(b):x}" for b in bits[:4]],
            "last": [f"{int(b):x}" for b in bits[-4:]]}


def main():
    cases = []
    for seed in (0, 42, 2**32 - 1):
        state = numpy.random.RandomState(seed)
        cases.append({"seed": str(seed), "kind": "legacy", "normal": recorded(state.randn(1_000_003)),
                      "uniform": recorded(state.random_sample(1001)), "again": recorded(state.randn(5))})
    state = numpy.random.RandomState([1, 2, 3])
    cases.append({"key": [1, 2, 3], "kind": "legacy", "normal": recorded(state.randn(1003)),
                  "uniform": recorded(state.random_sample(1001)), "again": recorded(state.randn(5))})
    for kind in ("PCG64", "Philox"):
        for seed in (0, 42, 2**40 + 7):
            rng = numpy.random.Generator(getattr(numpy.random, kind)(seed))
            cases.append({"seed": str(seed), "kind": kind, "normal": recorded(rng.standard_normal(1_000_003)),
                          "uniform": recorded(rng.random(1001)), "again": recorded(rng.standard_normal(5))})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"numpy": numpy.__version__, "streams": cases}, file, separators=(",", ":"))
        file.write("\n")


main()
