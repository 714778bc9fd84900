"""The network inside a text model."""

from skbp.estimators import BackpropSequenceModel
from skbp.estimators._inside import Inside
from skbp.initializers import Normal
from skbp.layers import Dropout, Embedding, LayerNorm, LoRA, Tied, TransformerEncoder
from skbp.layers.dropout import may_drop

#: Standard deviation of the first table of tokens, that of GPT-2.
STD = 0.02
#: Matrices that LoRA changes: all of a block.
MATRICES = ("q", "k", "v", "out", "weight")


class TextNetwork(Inside, BackpropSequenceModel):
    """The sequence model of a text model, whose callbacks are told of that one."""

    _diagnoses = False  # which takes raw outputs of a thousand rows, each as many as tokens


def layers_of(n_codes, shape, dropout, padding, rank=None):
    """Return the layers of a GPT.

    Parameters
    ----------
    n_codes : int
    shape : dict
        "width", "n_blocks", "n_heads", "n_hidden".
    dropout : float or Scheduled
    padding : int or None
        The code of absent steps.
    rank : int or None, default=None
        Of the changes in the blocks, where only these are trained.

    Returns
    -------
    layers : list of Layer
    """
    blocks: list = [
        TransformerEncoder(
            shape["n_heads"], shape["n_hidden"], dropout=dropout, causal=True, positions="rotary",
            name=f"block_{i}",
        )
        for i in range(shape["n_blocks"])
    ]  # fmt: skip
    if rank is not None:
        blocks = [LoRA(block, rank, targets=list(MATRICES), name=block.name) for block in blocks]
    return [
        Embedding(n_codes, shape["width"], padding, Normal(STD), name="tokens"),
        *([Dropout(dropout)] if may_drop(dropout) else []),
        *blocks,
        LayerNorm(name="norm"),
        Tied("tokens.weight", n_codes, name="next"),
    ]
