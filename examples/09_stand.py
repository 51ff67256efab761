"""A bop bag learns to stand, and plays elsewhere.

    python examples/09_stand.py [FOLDER]

The bag has its weight too high to stand by itself and one muscle at its foot. It learns from 6,144 frames of falling
over, as many as were published, in some seconds. What it has learnt is then exported and played by a file that needs
numpy alone, as an animation program would: `bunraku/player.py`, to be copied there. Here a pendulum of six lines stands
in for that program's physics. It has never been trained on that pendulum.
"""

import sys
from math import sin
from pathlib import Path

from bunraku import mimic
from bunraku.player import Player

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/bag")
out.mkdir(parents=True, exist_ok=True)

learnt = mimic.train("bopbag", out / "run", samples=6144)
print(f"Return without jitter: {learnt['normalized_return']:.3f} of 1, from {learnt['samples']} frames")
for row in learnt["controllers"]:
    print(f"  {row['controller']}: {row['normalized_return']:.3f}, stands at the end of {row['standing']:.0%}")

mimic.export(out / "run", out / "policy.npz", overwrite=True)
player = Player(str(out / "policy.npz"))

mass, height, step = 3.0, 0.55, 1 / 192  # 3 kg, centre of mass .55 m above the floor; steps of physics [s]
inertia = mass * height**2
angle, speed = 1.2, 0.0  # nearly lying [rad], at rest
for frame in range(96):
    torque = float(player.controls([angle, speed])[0])
    for _ in range(8):
        speed += step * (torque + mass * 9.81 * height * sin(angle) - 0.2 * speed) / inertia
        angle += step * speed
    if frame % 16 == 15:
        print(f"  {(frame + 1) / 24:.2f} s: {angle:+.2f} rad from upright")
print("It stands." if abs(angle) < 0.2 else "It has fallen.")
