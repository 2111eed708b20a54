"""Benchmarks: ratios against baselines of the same run, the side under test pinned to one core."""
