# SPDX-License-Identifier: GPL-3.0-or-later
"""What Bunraku does inside Blender: rigs described and posed. Needs Blender's Python and numpy alone."""
