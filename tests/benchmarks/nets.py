"""Seconds per epoch of other networks than dense ones, beside PyTorch: images and sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

import numpy as np
from common import in_process, left_out, markdown, n_threads, shown
from peers import RATE

from skbp import BackpropClassifier
from skbp._engine.batches import Batch
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    LayerNorm,
    MaxPool2D,
    SequencePool,
    TransformerEncoder,
)
from skbp.losses import LogLoss

BATCH, N_BATCHES, N_CLASSES, EPOCHS = 64, 20, 10, 3
#: Rows that PyTorch predicts at a time.
PREDICTED = 256
#: Seconds before each turn: until then the waiting threads of the last one have gone to sleep.
PAUSE = 0.5


@dataclass(frozen=True)
class Net:
    """A network of ours, without its output layer, and of PyTorch.

    `torch_net` returns the module; `pairs` yields (parameter of the module, array of ours in its
    layout) from the module and our arrays by layer.
    """

    name: str
    shape: tuple[int, ...]
    layers: list
    torch_net: Callable[[], Any]
    pairs: Callable
    images: bool = False


def cnn():
    """Return two convolutions with pools, and two dense layers."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, N_CLASSES),
    )  # fmt: skip


def cnn_pairs(net, views):
    """Pair the parameters of the CNNs."""
    with_weights = [p for p in views if p]
    for module, p in zip((net[0], net[3], net[7], net[9]), with_weights, strict=True):
        weight = p["weight"]
        yield module.weight, weight.T if weight.ndim == 2 else weight.transpose(3, 2, 0, 1)
        yield module.bias, p["bias"]


def normalized_cnn():
    """Return the block everyone builds, twice: convolution, batch normalisation, ReLU, pool."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, N_CLASSES),
    )  # fmt: skip


def normalized_cnn_pairs(net, views):
    """Pair the parameters of the CNNs with batch normalisation."""
    with_weights = [p for p in views if p]
    for module, p in zip((net[0], net[1], net[4], net[5], net[9]), with_weights, strict=True):
        if "gamma" in p:
            yield module.weight, p["gamma"]
            yield module.bias, p["beta"]
            continue
        weight = p["weight"]
        yield module.weight, weight.T if weight.ndim == 2 else weight.transpose(3, 2, 0, 1)
        yield module.bias, p["bias"]


def recurrent(kind):
    """Return a function that makes a recurrent network, whose last state goes to the output."""

    def make():
        from torch import nn

        class Recurrent(nn.Module):
            def __init__(self):
                super().__init__()
                self.cell = getattr(nn, kind)(32, 128, batch_first=True)
                self.out = nn.Linear(128, N_CLASSES)

            def forward(self, x):
                return self.out(self.cell(x)[0][:, -1])

        return Recurrent()

    return make


def recurrent_pairs(net, views):
    """Pair the parameters of recurrent networks: two biases that are added are one of ours."""
    p, cell = {name.removeprefix("0."): array for name, array in views[0].items()}, net.cell
    other = np.zeros_like(p["bias"])
    if "bias_hidden" in p:
        other[-len(p["bias_hidden"]) :] = p["bias_hidden"]
    yield from (
        (cell.weight_ih_l0, p["weight_input"].T), (cell.weight_hh_l0, p["weight_hidden"].T),
        (cell.bias_ih_l0, p["bias"]), (cell.bias_hh_l0, other),
    )  # fmt: skip
    yield from dense_pairs(net.out, views[-1])


def dense_pairs(module, p, prefix=""):
    """Pair the parameters of a linear layer."""
    yield module.weight, p[f"{prefix}weight"].T
    yield module.bias, p[f"{prefix}bias"]


def transformer():
    """Return two blocks of an encoder, and the mean over time."""
    from torch import nn

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            block = nn.TransformerEncoderLayer(
                64, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(
                block, 2, nn.LayerNorm(64), enable_nested_tensor=False
            )
            self.out = nn.Linear(64, N_CLASSES)

        def forward(self, x):
            return self.out(self.blocks(x).mean(dim=1))

    return Transformer()


def transformer_pairs(net, views):
    """Pair the parameters of the Transformers."""
    for block, p in zip(net.blocks.layers, views, strict=False):
        for norm, prefix in ((block.norm1, "0.0."), (block.norm2, "1.0.")):
            yield norm.weight, p[f"{prefix}gamma"]
            yield norm.bias, p[f"{prefix}beta"]
        attention = block.self_attn
        yield attention.in_proj_weight, p["0.1.weight_qkv"].T
        yield attention.in_proj_bias, p["0.1.bias_qkv"]
        yield attention.out_proj.weight, p["0.1.weight_out"].T
        yield attention.out_proj.bias, p["0.1.bias_out"]
        yield from dense_pairs(block.linear1, p, "1.1.")
        yield from dense_pairs(block.linear2, p, "1.2.")
    yield net.blocks.norm.weight, views[2]["gamma"]
    yield net.blocks.norm.bias, views[2]["beta"]
    yield from dense_pairs(net.out, views[-1])


SEQUENCES, STEPS = (50, 32), (128, 64)
BLOCK = TransformerEncoder(n_heads=4, n_hidden=128, dropout=0.0)
NETS = {
    net.name: net
    for net in (
        Net("CNN", (1, 28, 28),
            [Conv2D(16, 3, padding="same"), MaxPool2D(2), Conv2D(32, 3, padding="same"),
             MaxPool2D(2), Flatten(), Dense(128)], cnn, cnn_pairs, images=True),
        Net("CNN, BatchNorm", (3, 32, 32),
            [Conv2D(32, 3, padding="same", activation="identity"), BatchNorm("relu"), MaxPool2D(2),
             Conv2D(64, 3, padding="same", activation="identity"), BatchNorm("relu"), MaxPool2D(2),
             Flatten()], normalized_cnn, normalized_cnn_pairs, images=True),
        Net("LSTM", SEQUENCES, [LSTM(128)], recurrent("LSTM"), recurrent_pairs),
        Net("GRU", SEQUENCES, [GRU(128)], recurrent("GRU"), recurrent_pairs),
        Net("Transformer", STEPS, [BLOCK, BLOCK, LayerNorm(), SequencePool("mean")], transformer,
            transformer_pairs),
    )
}  # fmt: skip


def jobs(options):
    """Measure each pair of threads and network in a process of its own; yields the results."""
    for threads in options.threads:
        for name in NETS:
            arguments = {"name": name, "rounds": options.rounds, "quick": options.quick}
            yield in_process("nets", arguments, threads)


def measure(name, rounds, quick):
    """Let both sides train one network, and predict, in turn.

    Returns medians and minima by name of the contender: ms per epoch, and ms per prediction of as
    many rows.
    """
    net, rng = NETS[name], np.random.default_rng(0)
    n_rows = BATCH * (5 if quick else N_BATCHES)
    X = rng.standard_normal((n_rows, *net.shape)).astype(np.float32)
    y = rng.integers(0, N_CLASSES, n_rows)
    start = Network([*net.layers, Dense(N_CLASSES, "identity")], net.shape, np.float32)
    start.init(np.random.RandomState(0))
    contenders = {"skbp": lambda: skbp_times(net, X, y)}
    if not left_out(["torch"]):
        check_start(net, start, X[:BATCH], y[:BATCH])
        contenders["PyTorch"] = lambda: torch_times(net, start, X, y)
        if net.images:
            contenders["PyTorch, channels_last"] = lambda: torch_times(net, start, X, y, True)
    times = {contender: ([], []) for contender in contenders}
    for _ in range(rounds):
        for contender, train in contenders.items():
            sleep(PAUSE)
            for found, new in zip(times[contender], train(), strict=True):
                found.extend(new)
    return {
        contender: {
            f"{of}{figure}": 1e3 * float(function(found))
            for of, found in zip(("", "prediction "), both, strict=True)
            for figure, function in (("median", np.median), ("minimum", min))
        }
        for contender, both in times.items()
    }


def clocked(predict):
    """Return the seconds of each call but the first."""
    times = []
    for _ in range(EPOCHS + 1):
        begin = perf_counter()
        predict()
        times.append(perf_counter() - begin)
    return times[1:]


def skbp_times(net, X, y):
    """Train and predict; return the seconds of each epoch, and prediction, but the first."""
    estimator = BackpropClassifier(
        layers=net.layers, batch_size=BATCH, max_iter=EPOCHS + 1, learning_rate_init=RATE, tol=0.0,
        n_iter_no_change=np.inf, random_state=0,
    )  # fmt: skip
    estimator.fit(X, y)
    return estimator.epoch_seconds_[1:], clocked(lambda: estimator.predict_proba(X))


def torch_module(net, start):
    """Return the module, with the weights of a network of ours."""
    import torch

    torch.set_num_threads(n_threads())
    module = net.torch_net()
    with torch.no_grad():
        given = list(net.pairs(module, start.views))
        for parameter, array in given:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    if len(given) != len(list(module.parameters())):
        raise AssertionError(f"{net.name}: {len(given)} of the module's parameters are paired")
    return module


def check_start(net, start, X, y):
    """Compare loss and size of the gradient at the same weights: both sides train one network.

    Raises
    ------
    AssertionError
        If they differ.
    """
    import torch

    module = torch_module(net, start)
    loss = torch.nn.CrossEntropyLoss()(module(torch.from_numpy(X)), torch.from_numpy(y))
    loss.backward()
    weights = {id(parameter) for name, parameter in module.named_parameters() if "bias" not in name}
    theirs = (
        float(loss.detach()),
        sum(float((p.grad**2).sum()) for p in module.parameters() if id(p) in weights),
    )  # of weights only: a bias of ours may be two of theirs
    objective = Objective(start, LogLoss().for_targets("multiclass"), 0.0, len(y))
    weight = np.full(len(y), 1 / len(y), np.float32)
    # With a generator it is a pass of training, with the batch's own statistics.
    value = objective.data_value_and_grad(Batch(X, y, weight, len(y)), np.random.default_rng(0))
    ours = (
        value,
        sum(
            float((g**2).sum())
            for views in start.views_of(objective.grads)
            for name, g in views.items()
            if "bias" not in name and "beta" not in name
        ),
    )
    if not np.allclose(ours, theirs, rtol=1e-3):
        raise AssertionError(f"{net.name}: loss and gradient {ours}, but torch's are {theirs}")


def torch_times(net, start, X, y, channels_last=False):
    """Train and predict; return the seconds of each epoch, and prediction, but the first."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    module, loss_of = torch_module(net, start).to(memory_format=layout), torch.nn.CrossEntropyLoss()
    x, y = torch.from_numpy(X).contiguous(memory_format=layout), torch.from_numpy(y)
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=True)
    times = []
    for _ in range(EPOCHS + 1):
        begin = perf_counter()
        for rows in torch.randperm(len(y)).split(BATCH):
            batch = x.index_select(0, rows).contiguous(memory_format=layout)
            loss = loss_of(module(batch), y.index_select(0, rows))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        times.append(perf_counter() - begin)

    def predict():
        with torch.inference_mode():
            for rows in torch.arange(len(y)).split(PREDICTED):
                batch = x[rows[0] : rows[-1] + 1]
                torch.softmax(module(batch), dim=1)

    module.eval()
    return times[1:], clocked(predict)


def tables(results):
    """Return a table for each number of threads: a row a network, median and minimum."""
    parts = []
    for threads in sorted({result["threads"] for result in results}):
        chosen = [result for result in results if result["threads"] == threads]
        names = list(dict.fromkeys(name for result in chosen for name in result["result"]))
        header = ["", *names, "best of PyTorch / skbp: medians", "minima"]
        for of, per in (("", "epoch"), ("prediction ", "prediction of as many rows")):
            rows = [[r["arguments"]["name"], *_cells(r["result"], names, of)] for r in chosen]
            title = (
                f"{threads} thread{'s' if threads > 1 else ''}, median (minimum) in ms per {per}:"
            )
            parts.append(f"{title}\n\n{markdown(header, rows)}")
    return "\n\n".join(parts)


def _cells(times, names, of):
    """Return a row's cells: each contender's times, and the ratios."""
    cells = []
    for name in names:
        found = {figure: shown(value) for figure, value in times.get(name, {}).items()}
        cells.append(f"{found[f'{of}median']} ({found[f'{of}minimum']})" if found else "-")
    for figure in (f"{of}median", f"{of}minimum"):
        others = [found[figure] for name, found in times.items() if name != "skbp"]
        cells.append(shown(min(others, default=np.nan) / times["skbp"][figure]))
    return cells
