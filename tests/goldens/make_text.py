"""Make text.npz: a small BERT of the transformers library, its weights and what it makes of codes.

    python tests/goldens/make_text.py             (with torch and transformers installed)
    python tests/goldens/make_text.py FOLDER      (that of all-MiniLM-L6-v2: text_minilm.npz too)

Weights are called as in a file of such a model; what an XLM-R makes of the same weights is there
too. The vectors of all-MiniLM-L6-v2 are means over tokens, divided by their norms.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

CONFIG = {
    "model_type": "bert", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 16,
    "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0,
}  # fmt: skip
CODES = [[2, 7, 9, 11, 3], [2, 29, 3, 0, 0], [2, 5, 3, 6, 3], [2, 3, 0, 0, 0]]
TYPES = [[0] * 5, [0] * 5, [0, 0, 0, 1, 1], [0] * 5]
SENTENCES = [
    "A cat sits on the mat.", "", "Where is my parcel? I ordered it 3 weeks ago!",
    "naïve café, 東京 & Zürich", "bank " * 60,
]  # fmt: skip


def small(folder):
    torch.manual_seed(0)
    model = BertModel(BertConfig(**CONFIG)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    results = {name: value.numpy() for name, value in model.state_dict().items()}
    codes, types = torch.tensor(CODES), torch.tensor(TYPES)
    with torch.no_grad():
        made = model(codes, attention_mask=(codes != 0).long(), token_type_ids=types)
    # The same weights in its relative, which counts positions from another number.
    other = {key: value for key, value in CONFIG.items() if key != "model_type"}
    relative = XLMRobertaModel(XLMRobertaConfig(**other)).double().eval()
    relative.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        counted = relative(codes, attention_mask=(codes != 0).long(), token_type_ids=types)
    results["hidden_roberta"] = counted.last_hidden_state
    results |= {"codes": codes, "types": types, "hidden": made.last_hidden_state}
    np.savez_compressed(folder / "text.npz", **{k: np.asarray(v) for k, v in results.items()})


def minilm(source, folder):
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source)
    vectors, ids = [], []
    for sentence in SENTENCES:
        given = tokenizer(sentence, return_tensors="pt", truncation=True, max_length=128)
        with torch.no_grad():
            mean = model.eval()(**given).last_hidden_state[0].mean(axis=0)
        vectors.append((mean / mean.norm()).numpy())
        ids += given["input_ids"][0].tolist()
    np.savez_compressed(
        folder / "text_minilm.npz", sentences=SENTENCES, vectors=np.array(vectors), ids=ids
    )


if __name__ == "__main__":
    here = Path(__file__).parent
    small(here)
    if len(sys.argv) > 1:
        minilm(sys.argv[1], here)
