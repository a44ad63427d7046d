"""The tenant-isolation harness: plans, interleaving, observing, judging. It knows no bot."""

__version__ = "0.1.0"
