"""Captured motion into editable control curves on an artist's rig, and into physically simulated skills."""
