"""Physically simulated motion in one-line functions: train a character, judge it, write it for other programs.

The commands `bunraku mimic …` are a thin coat over these. Importing this package loads nothing heavy.
"""

from bunraku.mimic.exporting import export
from bunraku.mimic.judging import evaluate
from bunraku.mimic.replaying import playback, run_figures
from bunraku.mimic.training import train

__all__ = ["evaluate", "export", "playback", "run_figures", "train"]
