"""A small encoder in a folder, for tests of skbp.text: weights of goldens/text.npz."""

import json
from pathlib import Path

import numpy as np

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "text.npz"))
TENSORS = {name: array for name, array in GOLDENS.items() if "." in name}
CONFIG = {
    "model_type": "bert", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 16,
    "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0,
}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
DESCRIBED = {
    "model": {
        "type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)},
        "unk_token": "[UNK]",
    },
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
        ],
        "special_tokens": {
            word: {"id": word, "ids": [i], "tokens": [word]}
            for i, word in enumerate(WORDS[:4])
        },
    },
    "added_tokens": [
        {"id": i, "content": word, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for i, word in enumerate(WORDS[:4])
    ],
}  # fmt: skip


def write_encoder(folder, tensors=None, config=None, tokenizer=DESCRIBED, pooling=None):
    """Write an encoder into a folder, as such models are published; return the folder."""
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    tensors = TENSORS if tensors is None else tensors
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()},
              folder / "model.safetensors")  # fmt: skip
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
