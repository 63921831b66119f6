"""The parts of scripts/gpu-check can be imported as they import each other."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench" / "gpu_check"), str(ROOT / "bench")]
