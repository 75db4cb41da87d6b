"""Models of the protocols of the engine, for the model checker spin: `make model`."""
