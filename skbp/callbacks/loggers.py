"""Callbacks that hand each epoch's numbers on: to a function, or to a tracker of experiments."""

from abc import ABC, abstractmethod

import numpy as np

from skbp.callbacks.base import Callback, task_path


class Call(Callback):
    """Calls a function after each epoch.

    Parameters
    ----------
    function : callable
        Gets a dict with the epoch's numbers ("epoch", "loss", ...), its own to keep. If it returns
        True, training ends; anything else is ignored. In a search it may be called from several
        threads, or in other processes.

    See Also
    --------
    Callback : To remember things from epoch to epoch.

    Examples
    --------
    >>> losses = []
    >>> keep = Call(lambda epoch: losses.append(epoch["loss"]))
    >>> keep.on_epoch_end({"epoch": 1, "loss": 0.5}, None, None), losses
    (False, [0.5])
    """

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, epoch, memory, context):
        result = self.function(epoch)
        # Only True itself: a function that happens to return its loss must not end the training.
        return isinstance(result, bool | np.bool_) and bool(result)


class Logger(Callback, ABC):
    """Base class of those that log to an object of the user's.

    In a search, the names get the candidate's place in front (``0/3/loss``), so that the curves of
    its fits stay apart.
    """

    def start(self, estimator, context):
        return "".join(f"{task_id}/" for task_id in task_path(context))

    def on_epoch_end(self, epoch, memory, context):
        step = int(epoch["epoch"])
        numbers = {name: float(value) for name, value in epoch.items() if name != "epoch"}
        self.log({f"{memory}{name}": value for name, value in numbers.items()}, step, memory)
        return False

    @abstractmethod
    def log(self, numbers, step, prefix):
        """Log an epoch's numbers, whose names begin with `prefix` ("" for a fit by itself)."""


class TensorBoard(Logger):
    """Logs each epoch's numbers to a TensorBoard writer.

    Parameters
    ----------
    writer : object with ``add_scalar(tag, value, global_step)``
        Such as ``torch.utils.tensorboard.SummaryWriter`` or ``tensorboardX.SummaryWriter``. It is
        not closed. A search in several processes pickles it, which most writers refuse: search in
        threads then (``joblib.parallel_config("threading")``).

    See Also
    --------
    MLflowLogger, WandbLogger, Call

    Examples
    --------
    >>> class Printer:
    ...     def add_scalar(self, tag, value, global_step):
    ...         print(tag, value, global_step)
    >>> TensorBoard(Printer()).on_epoch_end({"epoch": 3, "loss": 0.5}, "", None)
    loss 0.5 3
    False
    """

    def __init__(self, writer):
        self.writer = writer

    def log(self, numbers, step, prefix):
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, global_step=step)


class MLflowLogger(Logger):
    """Logs each epoch's numbers to an MLflow run.

    Parameters
    ----------
    client : module or MlflowClient
        The module ``mlflow`` itself, or an ``MlflowClient``.
    run_id : str, optional
        The run; for the module by default the active one.

    Raises
    ------
    ValueError
        In fit, if `client` is an MlflowClient and there is no `run_id`.

    See Also
    --------
    TensorBoard, WandbLogger, Call

    Examples
    --------
    >>> class Client:
    ...     def log_metric(self, run_id, key, value, step):
    ...         print(run_id, key, value, step)
    >>> MLflowLogger(Client(), "run 7").on_epoch_end({"epoch": 3, "loss": 0.5}, "", None)
    run 7 loss 0.5 3
    False
    """

    def __init__(self, client, run_id=None):
        self.client = client
        self.run_id = run_id

    def check(self):
        """Check that there is a run to log to; see `Raises` of the class."""
        super().check()
        if self.run_id is None and not hasattr(self.client, "active_run"):
            raise ValueError(
                "MLflowLogger with an MlflowClient needs the run's id: MLflowLogger(client, "
                "run_id=...). Or give the module mlflow, which knows the active run."
            )

    def log(self, numbers, step, prefix):
        if self.run_id is None:
            for name, value in numbers.items():
                self.client.log_metric(name, value, step=step)
            return
        is_module = hasattr(self.client, "MlflowClient")
        client = self.client.MlflowClient() if is_module else self.client
        for name, value in numbers.items():
            client.log_metric(self.run_id, name, value, step=step)


class WandbLogger(Logger):
    """Logs each epoch's numbers to a run of Weights & Biases.

    The step is the epoch. In a search, whose fits share the run, it cannot be: steps must not go
    back. There the epoch is logged among the numbers (``0/3/epoch``), to be chosen as the axis.

    Parameters
    ----------
    run : object with ``log(dict, step=None)``
        What ``wandb.init`` returns. It is not finished. Give each fit a run of its own.

    See Also
    --------
    TensorBoard, MLflowLogger, Call

    Examples
    --------
    >>> class Run:
    ...     def log(self, data, step=None):
    ...         print(data, step)
    >>> WandbLogger(Run()).on_epoch_end({"epoch": 3, "loss": 0.5}, "", None)
    {'loss': 0.5} 3
    False
    """

    def __init__(self, run):
        self.run = run

    def log(self, numbers, step, prefix):
        if prefix:
            self.run.log({**numbers, f"{prefix}epoch": step})
        else:
            self.run.log(numbers, step=step)
