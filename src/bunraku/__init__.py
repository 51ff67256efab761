"""Captured motion into editable control curves on an artist's rig, and into physically simulated skills."""

from bunraku.api import bake as bake
from bunraku.api import check_clip as check_clip
from bunraku.api import convert_clip as convert_clip
from bunraku.api import describe as describe
from bunraku.api import evaluate as evaluate
from bunraku.api import export as export
from bunraku.api import fit as fit
from bunraku.api import invert as invert
from bunraku.api import invert_file as invert_file
from bunraku.api import load_curves as load_curves
from bunraku.api import load_sequence as load_sequence
from bunraku.api import load_take as load_take
from bunraku.api import open_clip as open_clip
from bunraku.api import open_rig as open_rig
from bunraku.api import sample as sample
from bunraku.api import save_curves as save_curves
from bunraku.core.errors import BunrakuError as BunrakuError

__version__ = "0.1.0"
