"""The presets by name."""

from collections.abc import Callable

from skbp.tabular._preset import Preset
from skbp.tabular.ft_transformer import FTTransformer
from skbp.tabular.realmlp import RealMLP
from skbp.tabular.realmlp_td import RealMLPTD
from skbp.tabular.resnet import ResNet
from skbp.tabular.tabm import TabM


def fast():
    """Return the numbers of a quick training."""
    return RealMLP(n_members=3, max_iter=24, min_updates=500)


def tabm_mini():
    """Return TabM-mini."""
    return TabM(mini=True)


#: What makes each.
PRESETS: dict[str, Callable[[], Preset]] = {
    "best": RealMLP,
    "fast": fast,
    "realmlp-td": RealMLPTD,
    "resnet": ResNet,
    "ft-transformer": FTTransformer,
    "tabm": TabM,
    "tabm-mini": tabm_mini,
}
