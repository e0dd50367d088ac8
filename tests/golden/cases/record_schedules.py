#!/usr/bin/env python3
"""Records what PyTorch's learning-rate schedules come to over 200 steps: tests/golden/cases/schedules.json.

A case holds the schedules' classes and options, the base rate of each parameter group, and the rates (and momentum, if it
cycles) of step 0 to 200: numbers with all their digits. Behind a number, -n says that it comes n times more.
"""
import json
import math
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler

STEPS = 200
FALLING = [round(2.0 * 0.9 ** min(i, 60) + 0.01 * math.sin(i), 4) for i in range(STEPS)]
RISING = [round(1 - 0.8**i + 0.02 * math.cos(3 * i), 4) for i in range(STEPS)]
FLAT = [math.nan if i % 7 == 3 else 1.0 for i in range(STEPS)]
LAMBDAS = {"0.95^step": lambda step: 0.95**step, "1/(1+step)": lambda step: 1 / (1 + step)}


def one(name, /, **options):
    return {"class": name, "options": options}


def sequence(*schedules, milestones):
    return {"class": "SequentialLR", "schedules": list(schedules), "milestones": milestones}


# name, base rates, schedules that step one behind the other, and what else there is to know.
CASES = [
    ("constant", [0.1], [one("ConstantLR")], {}),
    ("constant of two groups", [0.1, 0.003], [one("ConstantLR", factor=0.3, total_iters=17)], {}),
    ("warm-up", [0.1], [one("LinearLR")], {}),
    (
        "long warm-up of three groups",
        [0.1, 0.02, 1e-5],
        [one("LinearLR", start_factor=0.01, total_iters=60)],
        {},
    ),
    (
        "linear down to nothing",
        [0.1],
        [one("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=150)],
        {},
    ),
    ("step", [0.1, 0.7], [one("StepLR", step_size=30)], {}),
    ("step by a half", [0.05], [one("StepLR", step_size=7, gamma=0.5)], {}),
    ("milestones", [0.1, 0.02], [one("MultiStepLR", milestones=[30, 80, 80, 150])], {}),
    ("milestone 0", [0.1], [one("MultiStepLR", milestones=[0, 5], gamma=0.3)], {}),
    ("exponential", [0.1], [one("ExponentialLR", gamma=0.97)], {}),
    ("polynomial", [0.1], [one("PolynomialLR")], {}),
    ("square", [0.1, 0.03], [one("PolynomialLR", total_iters=120, power=2.0)], {}),
    ("root", [0.1], [one("PolynomialLR", total_iters=200, power=0.5)], {}),
    ("cosine", [0.1, 0.003], [one("CosineAnnealingLR", T_max=200)], {}),
    ("cosine that rises again", [0.1], [one("CosineAnnealingLR", T_max=37, eta_min=0.001)], {}),
    ("cosine of one step", [0.1], [one("CosineAnnealingLR", T_max=1, eta_min=0.01)], {}),
    ("restarts", [0.1, 0.02], [one("CosineAnnealingWarmRestarts", T_0=23)], {}),
    (
        "longer restarts",
        [0.1],
        [one("CosineAnnealingWarmRestarts", T_0=10, T_mult=2, eta_min=1e-4)],
        {},
    ),
    ("one cycle", [0.1], [one("OneCycleLR", max_lr=0.1, total_steps=200)], {"momentum": True}),
    (
        "one cycle of two groups in three phases",
        [0.1, 0.1],
        [
            one(
                "OneCycleLR",
                max_lr=[0.1, 0.02],
                epochs=25,
                steps_per_epoch=8,
                pct_start=0.4,
                three_phase=True,
                base_momentum=[0.8, 0.5],
                max_momentum=[0.9, 0.6],
            )
        ],
        {"momentum": True},
    ),
    (
        "one cycle in straight lines",
        [0.1],
        [
            one(
                "OneCycleLR",
                max_lr=0.3,
                total_steps=210,
                anneal_strategy="linear",
                div_factor=10.0,
                final_div_factor=100.0,
            )
        ],
        {"momentum": True},
    ),
    (
        "one cycle of Adam",
        [0.1],
        [
            one(
                "OneCycleLR",
                max_lr=0.01,
                total_steps=200,
                anneal_strategy="linear",
                three_phase=True,
                pct_start=0.25,
            )
        ],
        {"momentum": True, "optimizer": "Adam", "steps": 199},
    ),
    (
        "one cycle from its top",
        [0.1],
        [one("OneCycleLR", max_lr=0.1, total_steps=250, pct_start=0.0, cycle_momentum=False)],
        {},
    ),
    ("plateau", [0.1], [one("ReduceLROnPlateau")], {"metrics": FALLING}),
    (
        "plateau of a rising metric",
        [0.1, 0.02],
        [
            one(
                "ReduceLROnPlateau",
                mode="max",
                factor=0.5,
                patience=3,
                cooldown=4,
                min_lr=[1e-3, 0.0],
                threshold=0.01,
            )
        ],
        {"metrics": RISING},
    ),
    (
        "plateau by differences",
        [0.1],
        [
            one(
                "ReduceLROnPlateau",
                factor=0.7,
                patience=2,
                threshold=0.05,
                threshold_mode="abs",
                eps=1e-3,
            )
        ],
        {"metrics": FALLING},
    ),
    (
        "plateau of a rising metric by differences",
        [0.1],
        [
            one(
                "ReduceLROnPlateau",
                mode="max",
                patience=5,
                factor=0.9,
                threshold=0.02,
                threshold_mode="abs",
            )
        ],
        {"metrics": RISING},
    ),
    (
        "plateau of NaN",
        [0.1],
        [one("ReduceLROnPlateau", patience=0, cooldown=2, factor=0.5)],
        {"metrics": FLAT},
    ),
    ("lambda", [0.1], [{"class": "LambdaLR", "lr_lambda": ["0.95^step"]}], {}),
    (
        "a lambda for each group",
        [0.1, 0.3],
        [{"class": "LambdaLR", "lr_lambda": ["0.95^step", "1/(1+step)"]}],
        {},
    ),
    (
        "warm-up, then cosine",
        [0.1, 0.02],
        [
            sequence(
                one("LinearLR", start_factor=0.1, total_iters=20),
                one("CosineAnnealingLR", T_max=180, eta_min=1e-5),
                milestones=[20],
            )
        ],
        {},
    ),
    (
        "five in turn",
        [0.1],
        [
            sequence(
                one("ConstantLR", factor=0.5, total_iters=10),
                one("CosineAnnealingWarmRestarts", T_0=12),
                one("StepLR", step_size=9, gamma=0.5),
                one("PolynomialLR", total_iters=40),
                one("ExponentialLR", gamma=0.9),
                milestones=[15, 50, 90, 120],
            )
        ],
        {},
    ),
    (
        "one cycle behind a warm-up",
        [0.1],
        [
            sequence(
                one("LinearLR", total_iters=30),
                one("OneCycleLR", max_lr=0.2, total_steps=170),
                milestones=[30],
            )
        ],
        {"momentum": True},
    ),
    (
        "two at once",
        [0.1, 0.02],
        [one("LinearLR", start_factor=0.2, total_iters=30), one("ExponentialLR", gamma=0.98)],
        {},
    ),
    (
        "warm-up and cosine at once",
        [0.1],
        [
            one("ConstantLR", factor=0.4, total_iters=25),
            one("CosineAnnealingLR", T_max=60, eta_min=0.002),
        ],
        {},
    ),
]


def make(optimizer, recipe):
    schedule = getattr(lr_scheduler, recipe["class"])
    if recipe["class"] == "SequentialLR":
        parts = [make(optimizer, part) for part in recipe["schedules"]]
        return schedule(optimizer, parts, recipe["milestones"])
    if recipe["class"] == "LambdaLR":
        lambdas = [LAMBDAS[name] for name in recipe["lr_lambda"]]
        return schedule(optimizer, lambdas if len(lambdas) > 1 else lambdas[0])
    return schedule(optimizer, **recipe["options"])


def without_repeats(values):
    short = []
    for i, value in enumerate(values):
        if i == 0 or value != values[i - 1]:
            short.append(value)
        elif isinstance(short[-1], int):
            short[-1] -= 1
        else:
            short.append(-1)
    return short


def record(name, lrs, recipes, more):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    adam = more.get("optimizer") == "Adam"
    optimizer = torch.optim.Adam(groups) if adam else torch.optim.SGD(groups, momentum=0.9)
    schedules = [make(optimizer, recipe) for recipe in recipes]
    rates, momenta = [[] for _ in lrs], [[] for _ in lrs]

    def look():
        for group, rate, momentum in zip(optimizer.param_groups, rates, momenta):
            rate.append(group["lr"])
            momentum.append(group["betas"][0] if adam else group["momentum"])

    look()
    for step in range(more.get("steps", STEPS)):
        optimizer.step()
        for schedule in schedules:
            if "metrics" in more:
                schedule.step(more["metrics"][step])
            else:
                schedule.step()
        look()
    case = {"name": name, "optimizer": "Adam" if adam else "SGD", "base": lrs, "schedules": recipes}
    if "metrics" in more:
        case["metrics"] = [None if math.isnan(value) else value for value in more["metrics"]]
    case["lr"] = [without_repeats(rate) for rate in rates]
    if "momentum" in more:
        case["momentum"] = [without_repeats(momentum) for momentum in momenta]
    return case


def main():
    warnings.simplefilter("ignore")
    cases = [record(*case) for case in CASES]
    file = pathlib.Path(__file__).with_name("schedules.json")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    file.write_text(f'{{"torch":"{torch.__version__}","cases":[\n{lines}\n]}}\n')
    print(f"{len(cases)} cases, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
