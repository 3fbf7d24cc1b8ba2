"""The window: the only user of Qt, a view of the engine's events and run files."""
