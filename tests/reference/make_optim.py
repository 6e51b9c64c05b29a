# SPDX-License-Identifier: MIT
"""Records trajectories of torch's optimizers in float64, for tests/tweedie/optim.

    python3 tests/reference/make_optim.py        (with torch; 1.13.1 wrote the file here)

Function: 0.5 sum h (x - c)^2 + sum sin(3 x), four parameters. Writes optim_torch.json beside this script.
"""

import json
import os

import torch

H = [0.5, 2.0, 10.0, 0.01]
C = [0.3, -1.0, 0.0, 2.0]
X0 = [1.0, -1.5, 0.3, 0.0]
STEPS = 12

CASES = [
    ("adam", "Adam", dict(lr=1e-2)),
    ("adam", "Adam", dict(lr=3e-2, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    ("adamw", "AdamW", dict(lr=1e-2, weight_decay=0.1)),
    ("amsgrad", "Adam", dict(lr=5e-2, betas=(0.5, 0.6), amsgrad=True)),
    ("nadam", "NAdam", dict(lr=1e-2)),
    ("nadam", "NAdam", dict(lr=1e-2, betas=(0.8, 0.9), weight_decay=0.05, momentum_decay=0.1)),
    ("radam", "RAdam", dict(lr=1e-2)),
    ("radam", "RAdam", dict(lr=1e-2, betas=(0.9, 0.9), weight_decay=0.05)),
    ("adamax", "Adamax", dict(lr=1e-2)),
    ("adamax", "Adamax", dict(lr=1e-2, betas=(0.5, 0.7), eps=1e-3, weight_decay=0.1)),
    ("sgd", "SGD", dict(lr=1e-2)),
    ("sgd", "SGD", dict(lr=1e-2, momentum=0.9, weight_decay=0.1)),
    ("sgd", "SGD", dict(lr=1e-2, momentum=0.9, dampening=0.3)),
    ("sgd", "SGD", dict(lr=1e-2, momentum=0.9, nesterov=True)),
]


def run(name, options):
    h = torch.tensor(H, dtype=torch.float64)
    c = torch.tensor(C, dtype=torch.float64)
    x = torch.tensor(X0, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([x], **options)
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (0.5 * (h * (x - c) ** 2).sum() + torch.sin(3 * x).sum()).backward()
        optimizer.step()
        path.append(x.detach().tolist())
    return path


def main():
    torch.set_default_dtype(torch.float64)  # otherwise NAdam keeps its product of momenta in float32
    cases = [dict(method=method, options=options, x=run(name, options)) for method, name, options in CASES]
    out = dict(torch=torch.__version__, h=H, c=C, x0=X0, cases=cases)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim_torch.json"), "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
