"""Training passes of members of blocks: a dense layer, a learned activation, and dropout."""

from typing import Any, NamedTuple

import numpy as np

from skbp import _kernels as kernels
from skbp._engine.member_passes import MemberPasses, may_share
from skbp._kernels.numpy_dropout import dropout_cut
from skbp.activations import SELU, Identity, Mish
from skbp.layers import (
    CategoryEmbedding,
    Dropout,
    LearnedActivation,
    MemberColumns,
    MemberDense,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)
from skbp.layers._pass import Pass, allocate
from skbp.schedules.scheduled import value_at

#: Layers that may come before blocks: each does for a member what it does for all.
BEFORE = (
    CategoryEmbedding, LearnedActivation, MemberColumns, PeriodicEmbedding,
    PiecewiseLinearEmbedding, Scale,
)  # fmt: skip
#: Numbers of activations in compiled passes.
IDENTITY, NUMBERS = 0, {SELU: 1, Mish: 2}


def block_passes_of(network, loss, max_rows, grads):
    """Return what does the training passes of members of blocks, or None.

    Parameters
    ----------
    network : Network
    loss : Loss
    max_rows : int
        The most rows a batch will have.
    grads : ndarray of shape (n_params,)
        The gradient, which a backward pass fills.

    Returns
    -------
    passes : BlockPasses or None
        None if kernels are not compiled, NumPy's BLAS is none that is known, values are not
        float32, the network is another one, or the loss is somebody's own: see `may_share`.
    """
    if kernels.BLOCK_PASSES is None or kernels.BLOCK_PASSES(network.params.dtype) is None:
        return None
    if not may_share(loss):
        return None
    blocks = Blocks(network)
    return BlockPasses(blocks, network, max_rows, grads) if blocks.n_members else None


class Block(NamedTuple):
    """Numbers of the layers of a block; the last block of a network has a dense layer alone."""

    dense: int
    activation: int | None = None
    dropout: int | None = None


class Blocks:
    """The blocks that a network ends with, and the layers before them.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    n_members : int
        0 if the network has other layers than those that passes by blocks are made for.
    blocks : list of Block
    first : int
        Number of the first layer of the blocks.
    drawn : tuple of ndarray
        For each block from which random number on its units are kept, 0 for all, and the key of
        these numbers; see `draw`.
    """

    def __init__(self, network):
        self._network = network
        self.blocks, self.first = self._find()
        last = network.layers[-1]
        self.n_members = last.n_members if self.blocks and self._suits() else 0

    def _find(self):
        """Return the unbroken row of blocks at the end, and the number of its first layer."""
        layers, blocks = self._network.layers, []
        place = len(layers) - 1
        if not self._is_dense(layers[place]):
            return [], place
        blocks.append(Block(place))
        while place > 0:
            end = place - (type(layers[place - 1]) is Dropout)
            dense = end - 2
            if dense < 0 or not self._is_dense(layers[dense]):
                break
            activation = layers[end - 1]
            if type(activation) is not LearnedActivation:
                break
            if type(activation._activation()) not in NUMBERS:
                break
            blocks.append(Block(dense, end - 1, place - 1 if end < place else None))
            place = dense
        return blocks[::-1], place

    @staticmethod
    def _is_dense(layer):
        return type(layer) is MemberDense and type(layer._function) is Identity

    def _suits(self):
        """Whether there are learned activations, and each member has parameters of its own."""
        network, n_members = self._network, self._network.layers[-1].n_members
        for number, layer in enumerate(network.layers):
            if number < self.first and type(layer) not in BEFORE:
                return False
        try:
            shapes = self.shapes()
        except ValueError:  # a layer that a member alone would not have
            return False
        for number, shape in enumerate(shapes):
            own = self.layer_of_member(number, 0).param_shapes(shape)
            for key, array in network.views[number].items():
                if array.shape != (n_members, *own.get(key, ())):
                    return False
        return len(self.blocks) > 1

    def layer_of_member(self, number, member):
        """Return a layer before the blocks as a member alone has it; not bound."""
        return self._network.specification[number].of_member(member)

    def shapes(self):
        """Return what a row of a member alone is before each of the layers before the blocks."""
        shape, shapes = self._network.input_shape[-1:], []
        for number in range(self.first):
            shapes.append(shape)
            shape = self.layer_of_member(number, 0).output_shape(shape)
        return shapes

    def table(self, member):
        """Return what compiled passes want to know of the blocks of a member."""
        network = self._network
        places = {(one.layer, one.key): one.start for one in network.parameters}
        rows = []
        for dense, activation, _ in self.blocks:
            fan_in, units = network.views[dense]["weight"].shape[1:]
            share, number = 0, IDENTITY
            if activation is not None:
                share = places[activation, "share"] + member * units
                number = NUMBERS[type(network.layers[activation]._activation())]
            weight = places[dense, "weight"] + member * fan_in * units
            bias = places[dense, "bias"] + member * units
            rows.append((fan_in, units, weight, bias, share, number))
        return np.array(rows, np.int64)

    def scales(self):
        """Return by what each block multiplies its products."""
        dense = (self._network.layers[block.dense] for block in self.blocks)
        return np.array([layer._scale or 1.0 for layer in dense], np.float32)

    def draw(self, rng, progress):
        """Set `drawn` for a step; keys are drawn as `Draws.mask` does."""
        cuts = np.zeros(len(self.blocks), np.uint16)
        keys = np.zeros(len(self.blocks), np.uint64)
        for number, block in enumerate(self.blocks):
            if block.dropout is None or rng is None:
                continue
            rate = value_at(self._network.layers[block.dropout].rate, progress)
            if rate:
                cuts[number] = dropout_cut(rate)
                keys[number] = rng.integers(0, 2**64, dtype=np.uint64)
        self.drawn = cuts, keys


class Memory:
    """What a thread works in: one member after the other uses it.

    Parameters
    ----------
    blocks : Blocks
    max_rows : int
    """

    def __init__(self, blocks, max_rows):
        rows = blocks.table(0)
        self._layers = [
            (blocks.layer_of_member(number, 0), shape)
            for number, shape in enumerate(blocks.shapes())
        ]
        between = max((int(row[0]) for row in rows[1:]), default=0)
        self.outputs = np.empty(3 * max_rows * int(rows[:, 1].sum()), np.float32)
        self.scratch = np.empty((2, max_rows * between), np.float32)
        self.dx = np.empty((max_rows, int(rows[0, 0])), np.float32)
        self.dy = np.empty((max_rows, int(rows[-1, 1])), np.float32)
        self.ctx, self._by_rows = Pass(), {}
        self.raw_start = 3 * int(rows[:-1, 1].sum())

    def rows(self, n):
        """Return buffers of the layers before the blocks for n rows."""
        if n not in self._by_rows:
            self._by_rows[n] = [
                allocate(layer, shape, n, np.dtype(np.float32)) for layer, shape in self._layers
            ]
        return self._by_rows[n]


class BlockPasses(MemberPasses):
    """Training passes of all members.

    Parameters
    ----------
    blocks : Blocks
    network, max_rows, grads
        As `block_passes_of` has them.
    """

    def __init__(self, blocks, network, max_rows, grads):
        def make(members):
            memory = Memory(blocks, max_rows)
            return [BlockMember(blocks, network, number, grads, memory) for number in members]

        super().__init__(network, blocks.n_members, max_rows, make)
        self._blocks = blocks

    def value_and_grad(self, loss, x, y, weight, rng=None, progress=None):
        """Return the loss of a batch, and fill the gradient vector; see `MemberPasses`."""
        self._blocks.draw(rng, progress)
        return super().value_and_grad(loss, x, y, weight)


class BlockMember:
    """Passes of one member through the layers before the blocks, and through the blocks.

    Parameters
    ----------
    blocks : Blocks
    network : Network
    member : int
        Its number.
    grads : ndarray of shape (n_params,)
        Where the backward pass writes to.
    memory : Memory
    """

    def __init__(self, blocks, network, member, grads, memory):
        self._forward, self._backward = kernels.BLOCK_PASSES(np.float32)
        self._blocks, self._network, self._grads, self._memory = blocks, network, grads, memory
        self._place = np.int64(member), np.int64(blocks.n_members)
        self._table, self._scales = blocks.table(member), blocks.scales()
        of_grads = network.views_of(grads)
        self._before: list[Any] = [
            (blocks.layer_of_member(number, member).bind(shape),
             {key: array[member] for key, array in network.views[number].items()},
             {key: array[member] for key, array in of_grads[number].items()})
            for number, shape in enumerate(blocks.shapes())
        ]  # fmt: skip
        trained = [number for number, (_, p, _) in enumerate(self._before) if p]
        self._first = min(trained, default=len(self._before))

    def value_and_grad(self, loss, x, y, weight):
        """Return the loss of a batch of the member, and fill its part of the gradient.

        Parameters
        ----------
        loss : Loss
            That of a member.
        x : ndarray of shape (n, n_features)
        y, weight
            As in `Loss.value_and_grad`.
        """
        memory, n, inputs = self._memory, len(x), []
        ctx, work = memory.ctx, memory.rows(n)
        for (layer, p, _), w in zip(self._before, work, strict=True):
            inputs.append(x)
            x = layer.forward(x, p, w, ctx)
        x = np.ascontiguousarray(x)
        self._forward(
            x, self._network.params, self._table, self._scales, *self._blocks.drawn, self._place,
            memory.outputs,
        )  # fmt: skip
        n_outputs, dy = memory.dy.shape[1], memory.dy[:n]
        first = n * memory.raw_start
        raw = memory.outputs[first : first + n * n_outputs].reshape(n, n_outputs)
        value = loss.value_and_grad(raw, y, weight, dy)
        dx = memory.dx[: n if self._first < len(self._before) else 0]
        self._backward(
            dy, x, self._network.params, self._table, self._scales, memory.outputs, self._grads, dx,
            *memory.scratch,
        )  # fmt: skip
        for number in range(len(self._before) - 1, self._first - 1, -1):
            layer, p, g = self._before[number]
            need = number > self._first
            dx = layer.backward(dx, inputs[number], p, g, work[number], ctx, need_dx=need)
        return value
