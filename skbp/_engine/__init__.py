"""The machinery: kernels, network, objective, batches, training. Nothing here is public."""
