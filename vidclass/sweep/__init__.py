"""The study engine: a ledger of events, pure functions over it, and thin adapters to Ray Tune."""
