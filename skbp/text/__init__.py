"""Texts: pretrained encoders, estimators on top of them, retrieval, rejection, monitoring.

Encoders and tokens need the packages `tokenizers` and `safetensors`: ``pip install "skbp[text]"``.
"""

from skbp.text.classifier import TextClassifier
from skbp.text.encoder import Encoder, load_encoder
from skbp.text.model import TextModel
from skbp.text.nearest import NearestExamples
from skbp.text.regressor import TextRegressor
from skbp.text.reject import RejectOption
from skbp.text.shares import share_interval
from skbp.text.surge import Alarm, SurgeDetector
from skbp.text.text_encoder import TextEncoder
from skbp.text.tokenizer import Tokenizer
from skbp.text.trained_tokenizers import BytePairTokenizer, CharacterTokenizer

__all__ = [
    "Alarm", "BytePairTokenizer", "CharacterTokenizer", "Encoder", "NearestExamples",
    "RejectOption", "SurgeDetector", "TextClassifier", "TextEncoder", "TextModel", "TextRegressor",
    "Tokenizer", "load_encoder", "share_interval",
]  # fmt: skip
