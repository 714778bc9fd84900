"""Texts: pretrained encoders, estimators on top of them, retrieval, and what is out of scope.

Encoders and tokens need the packages `tokenizers` and `safetensors`: ``pip install "skbp[text]"``.
"""

from skbp.text.classifier import TextClassifier
from skbp.text.encoder import Encoder, load_encoder
from skbp.text.nearest import NearestExamples
from skbp.text.regressor import TextRegressor
from skbp.text.reject import RejectOption
from skbp.text.text_encoder import TextEncoder
from skbp.text.tokenizer import Tokenizer

__all__ = [
    "Encoder", "NearestExamples", "RejectOption", "TextClassifier", "TextEncoder",
    "TextRegressor", "Tokenizer", "load_encoder",
]  # fmt: skip
