"""A run from a script: the shipped digits, followed live, and its outcome."""

from labctl.events import EventBus, ImageFinished
from labctl.session import run

bus = EventBus()
bus.subscribe(ImageFinished, lambda e: print(f"{e.image + 1:4d}  {e.accuracy.value:.3f}", end="\r"))

outcome = run("digits", images=100, seed=7, bus=bus)
noise = outcome.finished.pooled.excess
print(f"accuracy {outcome.accuracy:.3f}, excess noise {noise.value:.4f} SNU, {outcome.verdict}")
print(f"run file {outcome.run_file}")
