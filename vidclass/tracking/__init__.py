"""MLflow, and nothing else in vidclass knows of it: the driver's writer thread, and ``sync``.

The ledger is the truth; what MLflow shows can be made from it again at any time.
"""
