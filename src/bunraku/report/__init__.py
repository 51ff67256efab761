"""Values as one self-contained HTML page: what was made, how well, and where it is wrong.

It imports `core` alone: what it shows arrives as plain values, or as functions that give the frames asked for.
"""
