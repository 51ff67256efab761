"""Captured motion into editable control curves on an artist's rig, and into physically simulated skills."""

__version__ = "0.1.0"
