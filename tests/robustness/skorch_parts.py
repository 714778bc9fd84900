"""Networks of skorch, in a module of their own so that they can be pickled; needs PyTorch."""

import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor

__all__ = ["Module", "NeuralNetClassifier", "Regressor", "torch"]
torch.set_num_threads(1)


class Module(torch.nn.Module):
    """Layers with rectifiers."""

    def __init__(self, sizes=(4,), n_outputs=2, dropout=0.0):
        super().__init__()
        layers, n_in = [], 3
        for size in sizes:
            layers += [torch.nn.Linear(n_in, size), torch.nn.ReLU(), torch.nn.Dropout(dropout)]
            n_in = size
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(n_in, n_outputs))

    def forward(self, X):
        return self.layers(X.float())


class Regressor(NeuralNetRegressor):
    """Targets come as float32, as the loss wants them."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred.squeeze(-1), y_true.float(), *args, **kwargs)
