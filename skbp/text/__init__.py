"""Texts: pretrained encoders, read from files, and estimators on top of them.

It needs the packages `tokenizers` and `safetensors`: ``pip install "skbp[text]"``.
"""

from skbp.text.classifier import TextClassifier
from skbp.text.encoder import Encoder, load_encoder
from skbp.text.text_encoder import TextEncoder
from skbp.text.tokenizer import Tokenizer

__all__ = ["Encoder", "TextClassifier", "TextEncoder", "Tokenizer", "load_encoder"]
