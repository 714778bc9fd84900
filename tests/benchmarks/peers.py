"""The peers: PyTorch, torch.compile, skorch and jax, each the way its documentation advises.

As `contenders`; only what is installed is built. All compute in float32.
"""

from functools import partial
from itertools import pairwise
from time import perf_counter

import numpy as np
from common import left_out, n_threads

RATE = 1e-3


def peers(names=("torch", "torch.compile", "skorch", "jax")):
    """Return those of the peers that are installed; say which are not."""
    missing = left_out(sorted({name.partition(".")[0] for name in names}))
    makers = {"torch": Torch, "torch.compile": CompiledTorch, "skorch": Skorch, "jax": Jax}
    return [
        makers[name]()
        for name in names
        if name.partition(".")[0] not in missing and not (name == "skorch" and "torch" in missing)
    ]


def torch_net(workload):
    """Return a function that builds the workload's network as a torch module."""
    import torch

    torch.set_num_threads(n_threads())

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            n_features, *sizes = workload.sizes
            if workload.nonzeros:  # sums weighted rows: the product of a sparse matrix
                self.first = torch.nn.EmbeddingBag(n_features, sizes[0], mode="sum")
                torch.nn.init.normal_(self.first.weight, std=0.01)
                self.bias = torch.nn.Parameter(torch.zeros(sizes[0]))
            else:
                self.first = torch.nn.Linear(n_features, sizes[0])
            layers = []
            for fan_in, fan_out in pairwise(sizes):
                layers += [torch.nn.ReLU(), torch.nn.Linear(fan_in, fan_out)]
            self.rest = torch.nn.Sequential(*layers)

        def forward(self, x, values=None):
            if values is None:
                return self.rest(self.first(x))
            return self.rest(self.first(x, per_sample_weights=values) + self.bias)

    return Net


def torch_data(workload, X, y):
    """Return what `Net.forward` takes, as a tuple of arrays, and the targets."""
    if workload.n_outputs == 1:
        y = y.astype(np.float32)
    if workload.nonzeros:
        return workload.padded(X), y
    return (np.ascontiguousarray(X, np.float32),), y


class Torch:
    """PyTorch, eager: the plain loop, fused Adam, batches gathered by index_select."""

    name = "PyTorch"
    dtype = "float32"
    compiled = False

    def __init__(self):
        self._built = {}

    def _build(self, workload):
        """Return the module, and a function from a batch to its loss; the same every time."""
        import torch

        if workload not in self._built:
            net = torch_net(workload)()
            binary = workload.n_outputs == 1
            loss = torch.nn.BCEWithLogitsLoss() if binary else torch.nn.CrossEntropyLoss()

            def loss_of(y, *x):
                return loss(net(*x).squeeze(1) if binary else net(*x), y)

            # The last batch of an epoch is smaller: a compiled version for each of the two sizes.
            self._built[workload] = (
                net,
                torch.compile(loss_of, dynamic=False) if self.compiled else loss_of,
            )
        return self._built[workload]

    def epoch_times(self, workload, X, y, epochs):
        """Train, and return the seconds of each epoch but the first."""
        import torch

        torch.manual_seed(0)
        net, loss_of = self._build(workload)
        x, y = torch_data(workload, X, y)
        x, y = [torch.from_numpy(array) for array in x], torch.from_numpy(y)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
        times = []
        for _ in range(epochs + 1):
            start = perf_counter()
            for rows in torch.randperm(len(y)).split(workload.batch_size):
                batch = [array.index_select(0, rows) for array in x]
                loss = loss_of(y.index_select(0, rows), *batch)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            times.append(perf_counter() - start)
        return np.array(times[1:])


class CompiledTorch(Torch):
    """PyTorch, with forward pass, loss and backward pass compiled by torch.compile."""

    name = "torch.compile"
    compiled = True


class Skorch:
    """skorch's NeuralNetClassifier on the same module."""

    name = "skorch"
    dtype = "float32"

    def epoch_times(self, workload, X, y, epochs):
        """Train, and return the seconds of each epoch but the first."""
        import torch
        from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier

        x, y = torch_data(workload, X, y)
        binary = workload.n_outputs == 1
        net = (NeuralNetBinaryClassifier if binary else NeuralNetClassifier)(
            torch_net(workload),
            criterion=torch.nn.BCEWithLogitsLoss if binary else torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam, optimizer__fused=True, lr=RATE,
            batch_size=workload.batch_size, iterator_train__shuffle=True, max_epochs=epochs + 1,
            train_split=None, verbose=0,
        )  # fmt: skip
        net.fit(dict(zip(("x", "values"), x, strict=False)) if workload.nonzeros else x[0], y)
        return np.array(net.history[1:, "dur"])


class Jax:
    """jax: a whole epoch in one compiled scan, Adam written out, parameters donated."""

    name = "jax"
    dtype = "float32"

    def __init__(self):
        self._built = {}

    def epoch_times(self, workload, X, y, epochs):
        """Train, and return the seconds of each epoch but the first."""
        import jax

        if workload not in self._built:
            self._built[workload] = jax.jit(partial(jax_epoch, workload), donate_argnums=0)
        epoch = self._built[workload]
        x, y = torch_data(workload, X, y)
        x, y = [jax.numpy.asarray(a) for a in x], jax.numpy.asarray(y)
        rng = np.random.default_rng(0)
        params = [
            (rng.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32), np.zeros(b, np.float32))
            for a, b in pairwise(workload.sizes)
        ]
        zeros = jax.tree.map(np.zeros_like, params)
        state = jax.device_put((params, zeros, zeros, np.float32(0)))
        times = []
        for _ in range(epochs + 1):
            start = perf_counter()
            state, losses = epoch(state, x, y, rng.permutation(workload.n_rows))
            jax.block_until_ready((state, losses))
            times.append(perf_counter() - start)
        return np.array(times[1:])


def jax_epoch(workload, state, x, y, order):
    """Run one epoch: a scan over the full batches, then the smaller last one."""
    import jax
    import jax.numpy as jnp

    def loss_of(params, x, y):
        (weight, bias), *rest = params
        if workload.nonzeros:
            h = jnp.einsum("nk,nkh->nh", x[1], weight[x[0]]) + bias
        else:
            h = x[0] @ weight + bias
        for weight, bias in rest:
            h = jax.nn.relu(h) @ weight + bias
        if workload.n_outputs == 1:
            return jnp.mean(jax.nn.softplus(h[:, 0]) - y * h[:, 0])
        picked = jnp.take_along_axis(h, y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(h, axis=1) - picked)

    def step(state, rows):
        params, m, v, t = state
        batch = [a.at[rows].get(mode="promise_in_bounds") for a in x]
        loss, grads = jax.value_and_grad(loss_of)(
            params, batch, y.at[rows].get(mode="promise_in_bounds")
        )
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return (params, m, v, t), loss

    full = workload.n_rows - workload.n_rows % workload.batch_size
    state, losses = jax.lax.scan(step, state, order[:full].reshape(-1, workload.batch_size))
    if full < workload.n_rows:
        state, _ = step(state, order[full:])
    return state, losses
