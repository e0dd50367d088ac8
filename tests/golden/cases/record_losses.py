"""Records losses.safetensors: what PyTorch's losses make of an input, and the gradient."""

import torch
from torch import nn

from cases import Recorder

recorder = Recorder("losses")
random = torch.Generator().manual_seed(16)


def draw(*shape):
    return torch.randn(*shape, generator=random).float()


def case(name, loss, x, target, **options):
    loss = loss.double()
    x = x.double().requires_grad_(True)
    y = loss(x, target.double() if target.is_floating_point() else target)
    y.backward()
    self = {"x": x, "target": target, "y": y, "dx": x.grad}
    constants = {key: value for key, value in loss.named_buffers()}
    recorder.add(name, self | constants, layer=type(loss).__name__, training=True, **options)


labels = torch.tensor([0, 6, 3, 3, 1])
holes = torch.tensor([0, -100, 3, 3, -100])
weight = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0, 0.0, 1.5])
probabilities = torch.softmax(draw(5, 7), 1)
for reduction in ("mean", "sum"):
    for smoothing in (0.0, 0.1, 1.0):
        for weighted in (False, True):
            name = f"{reduction}.{smoothing}.{'weighted' if weighted else 'even'}"
            options = {"reduction": reduction, "label_smoothing": smoothing}
            loss = nn.CrossEntropyLoss(weight.clone() if weighted else None, **options)
            case(f"labels.{name}", loss, draw(5, 7), labels, **options)
            case(f"holes.{name}", loss, draw(5, 7), holes, **options)
            if smoothing < 1:
                case(f"probabilities.{name}", loss, draw(5, 7), probabilities, **options)
options = {"ignore_index": 3, "reduction": "mean", "label_smoothing": 0.0}
case("ignores a class", nn.CrossEntropyLoss(**options), draw(5, 7), labels, **options)
for reduction in ("mean", "sum"):
    options = {"reduction": reduction, "label_smoothing": 0.2}
    case(
        f"all ignored.{reduction}",
        nn.CrossEntropyLoss(**options),
        draw(2, 3),
        torch.tensor([-100, -100]),
        **options,
    )
extreme = torch.tensor([[3e38, -3e38, 0.0], [1e4, -1e4, 1e4], [-500.0, 500.0, 0.0]])
options = {"reduction": "mean", "label_smoothing": 0.0}
case("extreme", nn.CrossEntropyLoss(), extreme, torch.tensor([0, 2, 0]), **options)

for reduction in ("mean", "sum"):
    options = {"reduction": reduction}
    target = draw(3, 5)
    x = target + 2 * draw(3, 5)
    x[0, 0] = target[0, 0]
    x[2, 1] = float("nan")
    case(f"mse.{reduction}", nn.MSELoss(**options), x, target, **options)
    case(f"l1.{reduction}", nn.L1Loss(**options), x, target, **options)
    case(
        f"mse.images.{reduction}",
        nn.MSELoss(**options),
        draw(2, 3, 2, 3),
        draw(2, 3, 2, 3),
        **options,
    )
    for beta in (0.0, 0.7, 1.0):
        case(
            f"smooth_l1.{beta}.{reduction}",
            nn.SmoothL1Loss(beta=beta, **options),
            x,
            target,
            beta=beta,
            **options,
        )
    for weighted in (False, True):
        for positive in (False, True):
            loss = nn.BCEWithLogitsLoss(
                draw(5).abs() if weighted else None,
                pos_weight=draw(5).abs() * 3 if positive else None,
                **options,
            )
            target = torch.rand(3, 5, generator=random).float()
            target[0, 0], target[0, 1] = 0, 1
            logits = draw(3, 5) * 3
            logits[0, 0], logits[0, 1], logits[1, 0] = 1e4, -1e4, -200.0
            name = f"bce.{'weighted' if weighted else 'even'}.{'positive' if positive else 'plain'}.{reduction}"
            case(name, loss, logits, target, **options)

recorder.save()
