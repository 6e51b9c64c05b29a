# SPDX-License-Identifier: MIT
"""Copies recorded runs into tests/reference/, leaving out what no test reads.

    python3 tests/reference/make_recorded.py <folder with core_golden.json and goldens/>

Left out: the last sample and the timesteps of the peers' float32 runs. Numbers are copied as they are written.
"""

import glob
import json
import os
import shutil
import sys

DROPPED = ("x_final_f32", "timesteps_f32")


def main():
    source = sys.argv[1]
    target = os.path.dirname(os.path.abspath(__file__))
    shutil.copyfile(os.path.join(source, "core_golden.json"), os.path.join(target, "core_golden.json"))
    for path in sorted(glob.glob(os.path.join(source, "goldens", "*.json"))):
        with open(path) as file:
            data = json.load(file)
        for case in data.get("cases", []):
            for key in DROPPED:
                case.pop(key, None)
        with open(os.path.join(target, os.path.basename(path)), "w") as file:
            json.dump(data, file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
