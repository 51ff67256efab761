"""The product in one-line functions: each opens its files, calls one stage and keeps what comes out.

The command line is a thin coat over these; scripts use them as they are. Importing this package loads nothing heavy.
"""

from bunraku.api.accounts import account as account
from bunraku.api.clips import check_clip as check_clip
from bunraku.api.clips import convert_clip as convert_clip
from bunraku.api.clips import open_clip as open_clip
from bunraku.api.clips import open_physique as open_physique
from bunraku.api.doors import load_curves as load_curves
from bunraku.api.doors import load_sequence as load_sequence
from bunraku.api.doors import load_take as load_take
from bunraku.api.doors import open_rig as open_rig
from bunraku.api.doors import save_curves as save_curves
from bunraku.api.exports import export as export
from bunraku.api.hosts import find_blender as find_blender
from bunraku.api.hosts import install_blender as install_blender
from bunraku.api.hosts import using_blender as using_blender
from bunraku.api.improving import improve as improve
from bunraku.api.reporting import report as report
from bunraku.api.reporting import report_beside as report_beside
from bunraku.api.rigs import bake as bake
from bunraku.api.rigs import describe as describe
from bunraku.api.rigs import fit as fit
from bunraku.api.rigs import sample as sample
from bunraku.api.shots import invert_many as invert_many
from bunraku.api.streaming import stream as stream
from bunraku.api.takes import evaluate as evaluate
from bunraku.api.takes import invert as invert
from bunraku.api.takes import invert_file as invert_file
from bunraku.api.viewing import view as view
