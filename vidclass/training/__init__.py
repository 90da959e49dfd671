"""Training in plain PyTorch: the fit loop, its settings, metrics, checkpoints and the floors."""
