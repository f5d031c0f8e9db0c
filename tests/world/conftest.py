"""The pre-training of the tiny CLIP is imported from `benchmarks/world`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "world"))
