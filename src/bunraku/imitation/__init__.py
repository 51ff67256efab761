"""A motion, or a pose, becomes a physically simulated skill."""
