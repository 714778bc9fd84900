"""Texts: pretrained encoders, estimators on top of them, retrieval, and what is out of scope.

Encoders and tokens need the packages `tokenizers` and `safetensors`: ``pip install "skbp[text]"``.
"""

from skbp.text.classifier import TextClassifier
from skbp.text.encoder import Encoder, load_encoder
from skbp.text.model import TextModel
from skbp.text.nearest import NearestExamples
from skbp.text.reject import RejectOption
from skbp.text.text_encoder import TextEncoder
from skbp.text.tokenizer import Tokenizer
from skbp.text.trained_tokenizers import BytePairTokenizer, CharacterTokenizer

__all__ = [
    "BytePairTokenizer", "CharacterTokenizer", "Encoder", "NearestExamples", "RejectOption",
    "TextClassifier", "TextEncoder", "TextModel", "Tokenizer", "load_encoder",
]  # fmt: skip
