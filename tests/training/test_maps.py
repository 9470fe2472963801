"""Training on maps: a loss for each position, and the gradient of one big batch whatever it is cut into."""

import pytest
import torch
from torch import Tensor, nn

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput
from attar.tasks.dense import Dense
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.settings import Training

ROWS, CLASSES, HEIGHT, WIDTH = 6, 3, 4, 5
LOSSES = [SoftTargets(), HardLabels(), CenteredLogits(), SquaredError(), Decoupled(), StandardizedLogits()]


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels_of() -> Tensor:
    labels = torch.randint(0, CLASSES, (ROWS, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(2))
    for row in range(ROWS):
        labels[row, :, :row] = -1  # another number of positions counts in each
    labels[5] = -1
    return labels


def split_of() -> Split:
    task = Dense(("a", "b", "c"), (HEIGHT, WIDTH))
    return Split(numbers(0, ROWS, 1, HEIGHT, WIDTH), labels_of(), torch.arange(ROWS), task)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_each_position_is_an_example_with_its_classes_last(loss: Loss):
    output, labels = numbers(3, ROWS, CLASSES, HEIGHT, WIDTH), labels_of()
    targets = numbers(4, ROWS, CLASSES, HEIGHT, WIDTH)
    found = loss(output, Batch(inputs=output, labels=labels, targets=targets))
    flat = [one.movedim(1, -1).reshape(-1, CLASSES) for one in (output, targets)]
    expected = loss(flat[0], Batch(inputs=flat[0], labels=labels.flatten(), targets=flat[1]))
    assert found.shape == (ROWS, HEIGHT, WIDTH)
    torch.testing.assert_close(found.flatten(), expected)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(1, CLASSES, 3, padding=1)


def test_micro_batches_give_the_gradient_of_one_big_batch():
    # The last map is all unknown: it counts for the teacher.
    targets = numbers(5, ROWS, CLASSES, HEIGHT, WIDTH)
    data = TransferSet(split_of(), targets=lambda inputs, rows, view: targets[rows])
    objective = Objective({"soft": Term(loss=SoftTargets()), "hard": Term(loss=HardLabels(), weight=0.5)})
    trained = []
    for size in (None, 1, 4):
        settings = Training(epochs=2, batch_size=6, micro_batch_size=size, optimizer="sgd", learning_rate=0.1)
        trained.append(fit(network(), objective, data, settings=settings).model.state_dict())
    for one in trained[1:]:
        for name, weight in trained[0].items():
            torch.testing.assert_close(one[name], weight, rtol=1e-5, atol=1e-6)


def test_a_network_learns_a_map_and_is_chosen_by_the_iou_of_images():
    inputs = numbers(0, 60, 1, HEIGHT, WIDTH)
    labels = (inputs[:, 0] > 0.5).long() + (inputs[:, 0] > -0.5).long()
    labels[:, 0, 0] = -1
    task = Dense(("low", "middle", "high"), (HEIGHT, WIDTH))
    data = TransferSet(Split(inputs, labels, torch.arange(60), task))
    settings = Training(epochs=30, batch_size=20, optimizer="adam", learning_rate=0.1)
    objective = Objective({"hard": Term(loss=HardLabels())})
    fitted = fit(network(), objective, data, settings=settings, validation=data)
    quality = task.quality(fitted.model(inputs).detach().numpy(), labels.numpy())
    assert fitted.score == pytest.approx(quality.iou) and quality.iou > 0.8


def test_a_network_that_gives_no_map_is_told():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(HEIGHT * WIDTH, CLASSES))
    message = r"outputs of shape \[4, 3\] for 4 rows, where \[4, 3, 4, 5\] is needed: one logit for each"
    with pytest.raises(BadInput, match=message):
        fit(flat, Objective({"hard": Term(loss=HardLabels())}), TransferSet(split_of()))
