"""Steps of a pretrained encoder beside torch's: ``python tests/benchmarks/fine_tuning.py FOLDER``.

FOLDER is that of an encoder, such as all-MiniLM-L6-v2; torch and transformers must be installed.
Both go through the same texts in the same batches of like length, with dropout, clipping of the
gradient and AdamW (torch's fused one), and take turns batch by batch. With "inference" both encode
batches of like length. Texts are random codes, as long as short reviews are: 8 to 128 tokens, half
of them below 40.
"""

import argparse

import numpy as np
from common import describe, in_process, interleaved, markdown, shown

BATCH, N_CLASSES, RATE, RANK = 32, 8, 1e-5, 8
WHAT = ("all", "lora", "last", "inference")


def texts(n_batches, n_codes):
    """Return codes of texts, batch by batch: matrices of one length each."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(40), 0.6, n_batches), 8, 128).astype(int)
    return [rng.integers(1000, n_codes, (BATCH, length)).astype(np.int32) for length in lengths]


def measure(what, folder, n_batches, rounds):
    """Return medians of the seconds of all batches, ours and torch's, and of their ratio."""
    from skbp.text import load_encoder

    encoder = load_encoder(folder)
    batches = texts(n_batches, encoder.n_codes)
    y = np.random.default_rng(1).integers(0, N_CLASSES, BATCH)
    if what == "inference":
        ours, theirs = inference(encoder), torch_inference(folder)
    else:
        ours, theirs = steps(encoder, what, y), torch_steps(folder, what, y)
    calls = [step for x in batches for step in (lambda x=x: ours(x), lambda x=x: theirs(x))]
    interleaved(calls[:4], 1)  # what happens once, such as allocating
    seconds = np.array(interleaved(calls, rounds))  # (2 n_batches, rounds)
    totals = seconds[::2].sum(axis=0), seconds[1::2].sum(axis=0)
    return {
        "ours": float(np.median(totals[0])), "torch": float(np.median(totals[1])),
        "ratio": float(np.median(totals[0] / totals[1])),
    }  # fmt: skip


def steps(encoder, what, y):
    """Return a function that trains on a batch of codes."""
    from skbp._engine.batches import Batch
    from skbp._engine.network import Network
    from skbp._engine.objective import Objective
    from skbp._engine.updater import Updater
    from skbp.layers import Dense, SequencePool, UnitLength
    from skbp.losses import LogLoss
    from skbp.optimizers import AdamW
    from skbp.text._fine_tuning import layers_to_train

    layers, frozen = layers_to_train(encoder, what, RANK)
    layers = [*layers, SequencePool("mean"), UnitLength(), Dense(N_CLASSES, "identity")]
    network = Network(layers, (128,), np.dtype("float32"))
    network.init(np.random.RandomState(0))
    arrays = network.by_name()
    for name, array in encoder.weights().items():
        arrays[name][...] = array
    network.freeze({number for name in frozen for number in network.matching(name)})
    objective = Objective(network, LogLoss().for_targets("multiclass"), 0.0, BATCH)
    optimizer, rng = AdamW(weight_decay=0.01, clip_norm=1.0), np.random.default_rng(0)
    state = optimizer.init_state(network.params)
    updater = Updater(optimizer, network, objective.grads, state)
    weight, done = np.full(BATCH, 1 / BATCH, np.float32), [0]

    def step(x):
        done[0] += 1
        objective.data_value_and_grad(Batch(x.astype(np.float32), y, weight, BATCH), rng)
        updater.begin_epoch()
        updater.step(RATE, done[0], 0.0)

    return step


def torch_steps(folder, what, y):
    """Return the same in torch."""
    import torch

    encoder = torch_encoder(folder).train()
    head = torch.nn.Linear(encoder.config.hidden_size, N_CLASSES)
    if what != "all":
        encoder.requires_grad_(False)
    if what == "last":
        encoder.eval()
        encoder.encoder.layer[-1].train().requires_grad_(True)
    if what == "lora":
        for block in encoder.encoder.layer:
            attention = block.attention.self
            attention.query, attention.value = map(lora, (attention.query, attention.value))
    parameters = [p for p in [*encoder.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01, fused=True)
    targets = torch.from_numpy(y)

    def step(x):
        optimizer.zero_grad()
        hidden = encoder(torch.from_numpy(x.astype(np.int64))).last_hidden_state
        vectors = torch.nn.functional.normalize(hidden.mean(1))
        torch.nn.functional.cross_entropy(head(vectors), targets).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def lora(linear):
    """Return torch's linear layer with a change of low rank."""
    import torch

    class Changed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear
            self.a = torch.nn.Linear(linear.in_features, RANK, bias=False)
            self.b = torch.nn.Linear(RANK, linear.out_features, bias=False)
            torch.nn.init.zeros_(self.b.weight)

        def forward(self, x):
            return self.linear(x) + self.b(self.a(x))

    return Changed()


def inference(encoder):
    """Return a function that encodes a batch of codes."""
    from skbp.layers import SequencePool, UnitLength
    from skbp.text._inference import run

    after = [SequencePool("mean"), UnitLength()]
    return lambda x: run(encoder, list(x), after, BATCH)


def torch_inference(folder):
    """Return the same in torch."""
    import torch

    encoder = torch_encoder(folder).eval()

    def encode(x):
        with torch.inference_mode():
            hidden = encoder(torch.from_numpy(x.astype(np.int64))).last_hidden_state
            return torch.nn.functional.normalize(hidden.mean(1))

    return encode


def torch_encoder(folder):
    """Return transformers' encoder, with torch told as many threads as ours."""
    import torch
    from common import n_threads
    from transformers import AutoModel

    torch.set_num_threads(n_threads())
    return AutoModel.from_pretrained(folder, attn_implementation="sdpa")


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the encoder")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=list(WHAT))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    lines = []
    for what in options.what:
        for threads in options.threads:
            arguments = {"what": what, "folder": options.folder, "n_batches": options.batches,
                         "rounds": options.rounds}  # fmt: skip
            done = in_process("fine_tuning", arguments, threads)
            found = done["result"]
            lines.append([what, threads, *map(shown, found.values())])
            print(lines[-1], flush=True)
    print(describe(done["environment"]), "\n")
    print(markdown(["", "threads", "ours, s", "torch, s", "ratio"], lines))


if __name__ == "__main__":
    main()
