# SPDX-License-Identifier: MIT
"""Records the random numbers of torch's CPU generator, for tests/tweedie/random/torch_cpu.cpp.

    /usr/bin/python3 make_torch_noise.py torch_noise.json                                 # AVX2 machine
    ATEN_CPU_CAPABILITY=default /usr/bin/python3 make_torch_noise.py torch_noise_libm.json

Written with torch 1.13.1 and glibc 2.36 of Debian 12. A stream is a list of calls on one generator; of each call the
checksum of all its numbers is kept (FNV-1a by words of 32 bits, low word first); of long ones the first and last
numbers too, as bits.
"""

import json
import sys

import numpy
import torch

DTYPES = {"float": torch.float32, "double": torch.float64}
MASK = (1 << 64) - 1


def checksum(words):
    value = 0xCBF29CE484222325
    for word in words.tolist():
        value = ((value ^ word) * 0x100000001B3) & MASK
    return f"{value:016x}"


def made(generator, call):
    size = call["size"]
    if call["make"] == "randint":
        return torch.randint(call["low"], call["high"], (size,), generator=generator)
    make = {"randn": torch.randn, "rand": torch.rand}[call["make"]]
    return make(size, generator=generator, dtype=DTYPES[call["type"]])


def recorded(seed, calls):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for call in calls:
        numbers = made(generator, call).numpy()
        words = numbers.view(numpy.uint32)
        bits = numbers.view(numpy.uint32 if numbers.dtype == numpy.float32 else numpy.uint64)
        entry = {**call, "checksum": checksum(words)}
        if call["size"] >= 1000:
            entry["first"] = [f"{int(b):x}" for b in bits[:4]]
            entry["last"] = [f"{int(b):x}" for b in bits[-4:]]
        out.append(entry)
    return {"seed": str(seed), "calls": out}


def main():
    long = 1_000_003  # not a multiple of 16
    streams = []
    for kind in DTYPES:
        for seed in (0, 42):
            streams.append(recorded(seed, [{"make": "randn", "type": kind, "size": long}]))
        streams.append(recorded(1, [{"make": "randn", "type": kind, "size": 1_000_000}]))
        streams.append(recorded(7, [{"make": "rand", "type": kind, "size": long}]))
        # every small size, with and without a tail, a kept second number or not
        streams.append(recorded(3, [{"make": "randn", "type": kind, "size": n} for n in range(1, 70)]))
        streams.append(recorded(4, [{"make": "randn", "type": kind, "size": 1 + (7 * n) % 15} for n in range(200)]))
    mixed = []
    for n in range(1, 60):
        mixed += [{"make": "randn", "type": "float", "size": (11 * n) % 37 + 1},
                  {"make": "rand", "type": "double", "size": n % 5 + 1},
                  {"make": "randint", "low": -n, "high": 10 * n, "size": n % 4 + 1},
                  {"make": "randn", "type": "double", "size": (5 * n) % 23 + 1},
                  {"make": "rand", "type": "float", "size": n % 3 + 1}]
    streams.append(recorded(5, mixed))
    streams.append(recorded(6, [{"make": "randint", "low": 0, "high": 1000, "size": long}]))
    streams.append(recorded(6, [{"make": "randint", "low": -(1 << 40), "high": 1 << 41, "size": 200_003}]))
    streams.append(recorded(6, [{"make": "randint", "low": 0, "high": (1 << 32) - 1, "size": 1003},
                                {"make": "randint", "low": 0, "high": 1 << 32, "size": 1003}]))
    streams.append(recorded((1 << 63) + 12345, [{"make": "randn", "type": "float", "size": 100}]))  # lower 32 bits
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"torch": torch.__version__, "capability": torch.__config__.show().split("CPU capability usage: ")[1]
                   .split()[0], "streams": streams}, file, indent=None, separators=(",", ":"))
        file.write("\n")


main()
